"""The engine as a child sees it: claim, report, finish."""

from datetime import datetime
from functools import partial
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

from celery.utils.log import get_logger
from django.db import connection, transaction

from children.errors import AttemptLost
from children.meta import Meta
from parent import executors, orphans, results
from parent.attempts import worth_a_retry
from parent.endings import Ending, end_cancelled
from parent.models import Run, Step, StepState
from parent.outage import OUTAGE, outlast
from parent.publish import LOOK_AFTER
from parent.recording import record
from parent.rows import update_row

__all__ = ["Engine", "RunningAttempt", "lost_attempts"]

logger = get_logger(__name__)

lost_attempts: SimpleQueue[tuple[str, str]] = SimpleQueue()
"""(task id, reason) of attempts whose process died; the worker's watch thread ends them."""

SHORT = LOOK_AFTER.total_seconds()


class RunningAttempt:
    """One attempt, in the process that runs it.

    Args:
        header: what `parent.publish.attempt_header` sent along.
        reported: whether it may have a `TaskResult` already.
    """

    def __init__(
        self, task_id: str, task_name: str, header: dict[str, Any], *, reported: bool = False
    ) -> None:
        self.task_id = task_id
        self.name = str(header["step"])
        self._workflow = str(header["workflow"])
        self.report_interval = float(header["interval"])
        self._task_name = task_name
        self._reported = reported
        self._claim = uuid4()
        limits = (header["run_timeout"], header["stall_timeout"])
        self._first_limit = min((limit for limit in limits if limit), default=None)
        self._look_at = header["look_at"] and datetime.fromisoformat(header["look_at"])

    def claim(self) -> bool:
        """QUEUED -> RUNNING, for exactly one of all deliveries."""
        tries = 0
        values: dict[str, Any] = {
            "state": StepState.RUNNING,
            "claim": self._claim,
            "executor_id": executors.this_executor(),
        }
        times = {"started_at": 0.0}
        # Of a run whose row its steps have left behind a tick takes a look, and tells: so the
        # many that have ended by then need no statement for it. The look sees to the limits.
        if self._first_limit and not (self._look_at and self._first_limit >= SHORT):
            times["due_at"] = self._first_limit
        else:
            values["due_at"] = self._look_at

        def claim_once() -> bool:
            nonlocal tries
            tries += 1
            claimed = update_row(
                Step, values, times=times, task_id=self.task_id, state=StepState.QUEUED
            )
            # After an error the first UPDATE may have been committed all the same.
            return claimed or (tries > 1 and self._is_ours())

        return outlast(f"claim {self.task_id}", claim_once)

    def _is_ours(self) -> bool:
        return bool(self._mine().exists())

    def _mine(self) -> Any:
        return Step.objects.filter(task_id=self.task_id, state=StepState.RUNNING, claim=self._claim)

    def report(self, meta: Meta) -> None:
        """Store a report; see `children.host.Attempt`."""
        try:
            if self._reported and results.update_child(self.task_id, meta):
                return
            self._report_first(meta)
        except OUTAGE as exc:
            if connection.in_atomic_block:
                raise
            # The body does not wait for the database; the next report has all of this one.
            logger.warning("%s: report not stored: %s", self.task_id, exc)
            connection.close()

    def _report_first(self, meta: Meta) -> None:
        """Write the child's `TaskResult`; also when somebody removed it."""
        # Also where the commit goes through and its answer is lost.
        self._reported = True
        with transaction.atomic():
            # The lock keeps the row from appearing after the attempt was taken away, when
            # nobody would delete it any more.
            step = self._mine().select_for_update().first()
            # By a statement of its own: one that had to wait for the lock would see the run as it
            # was before, without the cancel that held it.
            if (
                step is None
                or Run.objects.filter(pk=step.run_id).exclude(cancel_requested_at=None).exists()
            ):
                raise AttemptLost(self.task_id)
            if not results.update_child(self.task_id, meta):
                results.create_child(self.task_id, self._task_name, meta)

    def finish(
        self, outcome: Meta, traceback: str | None = None, error: Exception | None = None
    ) -> bool:
        """Record the outcome and open what comes next; see `children.host.Attempt`."""
        again = worth_a_retry(self._workflow, self.name, error) if error is not None else None
        told = partial(record, self.name, self.task_id, outcome, traceback)
        ending = outlast(
            f"finish {self.task_id}", partial(told, again=again, reported=self._reported)
        )
        if ending is Ending.DROPPED:
            logger.warning("%s: outcome dropped: the attempt no longer counts", self.task_id)
            outlast(f"forget {self.task_id}", partial(orphans.forget, self.task_id))
        return ending is not Ending.RETRIED

    def abandon(self) -> None:
        """Let a cancelled run end; see `children.host.Attempt`."""
        outlast(f"abandon {self.task_id}", partial(end_cancelled, self.task_id))


class Engine:
    """What `children.host` is given."""

    def claim(self, task_id: str, task_name: str, header: Any) -> RunningAttempt | None:
        attempt = RunningAttempt(task_id, task_name, header)
        return attempt if attempt.claim() else None

    def lost(self, task_id: str, reason: str) -> None:
        lost_attempts.put((task_id, reason))
