"""One attempt, in the process that runs it: claim, report, finish.

The engine's own thread runs the statements, over a connection that the body cannot reach.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import copy_context
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

from celery import current_app
from celery.utils.log import get_logger
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.models import QuerySet
from django.utils import timezone

from children import host
from children.errors import AttemptLost
from children.isolation.connections import in_transaction
from children.isolation.run_isolated import end_process
from children.meta import ALMOST, Meta, error_text
from children.worker.later import call_later, cancel
from parent.decisions.first_look import first_look
from parent.decisions.step_pace import LastReport
from parent.deletion import orphan_results
from parent.logs.attempt_log import AttemptLog
from parent.messages.publish import attempt_header, republish_after
from parent.models import Item, Step, StepState
from parent.runs.attempts import retry_decision
from parent.runs.context import RunContext
from parent.runs.endings import Ending, end_attempt, end_cancelled, record
from parent.runs.following.hand_over import HandOver
from parent.runs.items.finish import end_cancelled_item, end_item
from parent.store import executors
from parent.store.kept_sql import update_attempt
from parent.store.outage import OUTAGE, retry_while_database_is_down, sqlite_files_closed
from parent.telemetry import tracing
from parent.worker.engine_thread import EngineThread, SameThread, wait_ignoring_interruptions

__all__ = ["RunningAttempt"]

logger = get_logger(__name__)

REPORT_TIMEOUT = 1.0
"""Maximum seconds that a body waits until its report is stored."""

EARLY = 0.1
"""Seconds from its begin in which a child's reports are not stored yet. If it ends meanwhile, its
end says all, and nobody could have read them; else the newest is stored when they are over.
"""

REPORT_COLUMNS = ("iteration", "total", "completion", "message")

T = TypeVar("T")


class RunningAttempt:
    """One attempt, in the process that runs it.

    Args:
        header: what `parent.messages.publish.attempt_header` sent along.
        thread: runs its statements; None is the caller's thread.
        has_result: whether Celery stores its result, as it does for a foreign task.
        delivery: the message that this process works on, if a child may follow this one.
        claim: of an attempt that is claimed already, or the claim to make.
    """

    def __init__(
        self,
        task_id: str,
        header: dict[str, Any],
        thread: EngineThread | SameThread | None = None,
        *,
        has_result: bool = False,
        delivery: host.Delivery | None = None,
        claim: UUID | None = None,
    ) -> None:
        self.task_id = task_id
        self.name = str(header["step"])
        self.lost = self.ended = False
        self.follower: host.Follower | None = None
        self._delivery = delivery
        self.checkpoint: Any = None
        self._has_earlier = header["attempt"] > 1
        self._header = header
        self._workflow = str(header["workflow"])
        self._model: type[Step | Item] = Item if "mapped" in header else Step
        self._step = str(header.get("mapped", self.name))
        self.report_interval = float(header["interval"])
        self._thread = thread or SameThread()
        self._log = AttemptLog(
            task_id, self._model, self._workflow, self._start, separate=self._thread.separate
        )
        self.log = self._log.buffer
        # Copied before the body runs, so that its changes do not reach the engine's statements.
        self._context = copy_context()
        self._has_result = has_result
        self._last_report = LastReport(started_at=timezone.now())
        self._report: Future[Any] | None = None
        self._deferred_report: tuple[Meta, Any] | None = None
        self._early_until = time.monotonic() + min(EARLY, self.report_interval)
        self._newest: Meta | None = None
        self._early_report: int | None = None
        self._broken_outages = 0
        self._claim = claim or uuid4()
        look_at = header["look_at"] and datetime.fromisoformat(header["look_at"])
        self._first_look = first_look(look_at, (header["run_timeout"], header["stall_timeout"]))

    def _start(self, work: Callable[[], T]) -> "Future[T]":
        return self._thread.start(partial(self._context.copy().run, work))

    def claim(self) -> bool:
        """Set the step from QUEUED to RUNNING; return True for exactly one of all deliveries.

        Raises:
            SoftTimeLimitExceeded: it was raised during the claim. It is recorded as the outcome.
        """
        claim = self._start(self._claim_step_and_read)
        interruption = wait_ignoring_interruptions(claim)
        claimed = claim.result()
        if claimed and interruption is not None:
            error = f"Error in {self.name}: {error_text(interruption)}"
            self._delivery = None  # what is raised here leaves no way to a follower
            self.finish(Meta().failed(error), error=interruption)
            raise interruption
        return claimed

    def go_on_from(self, earlier: UUID) -> bool:
        """Claim an attempt that runs already, if it has this earlier claim: Celery retries it."""
        values = {"claim": self._claim, "executor": executors.this_executor()}
        claim = self._start(partial(self._claim_step, values, StepState.RUNNING, earlier))
        wait_ignoring_interruptions(claim)
        return claim.result()

    def requeue(self, earlier: UUID | None) -> None:
        """Undo the claim: the broker delivers the message again.

        Args:
            earlier: the claim that it had before this one; None makes the step QUEUED.
        """
        values: dict[str, Any] = {"claim": earlier}
        if earlier is None:
            values |= {"state": StepState.QUEUED, "executor": None, "started_at": None}
            values["due_at"] = republish_after(0)
        undo = partial(
            update_attempt,
            self.task_id,
            values,
            expected_state=StepState.RUNNING,
            claim=self._claim,
        )
        work = partial(retry_while_database_is_down, f"requeue {self.task_id}", undo)
        wait_ignoring_interruptions(self._start(work))

    def _claim_step_and_read(self) -> bool:
        values = {
            "state": StepState.RUNNING,
            "claim": self._claim,
            "executor": executors.this_executor(),
            "started_at": timedelta(),
            "due_at": self._first_look,
        }
        claimed = self._claim_step(values, StepState.QUEUED)
        if claimed:
            self._read_earlier()
        return claimed

    def begin_claimed(self) -> None:
        """Begin an attempt that the end of the child before it has claimed."""
        if not self._has_earlier:
            return
        begin = self._start(self._read_earlier)
        wait_ignoring_interruptions(begin)
        begin.result()

    def _read_earlier(self) -> None:
        if self._has_earlier:
            reading = f"read the checkpoint of {self.task_id}"
            self.checkpoint = retry_while_database_is_down(reading, self._read_checkpoint)

    def _read_checkpoint(self) -> Any:
        return self._rows(task_id=self.task_id).values_list("checkpoint", flat=True).first()

    def _rows(self, **which: Any) -> "QuerySet[Any]":
        rows: QuerySet[Any] = self._model._default_manager.all()
        return rows.filter(**which)

    def _claim_step(
        self, values: dict[str, Any], expected_state: StepState, earlier: UUID | None = None
    ) -> bool:
        tries = 0

        def claim_once() -> bool:
            nonlocal tries
            tries += 1
            claimed = update_attempt(
                self.task_id,
                values,
                expected_state=expected_state,
                claim=earlier,
                model=self._model,
            )
            # After an error the first UPDATE may have been committed nevertheless.
            return claimed or (tries > 1 and self._has_claim())

        return retry_while_database_is_down(f"claim {self.task_id}", claim_once)

    def _has_claim(self) -> bool:
        mine = {"task_id": self.task_id, "state": StepState.RUNNING, "claim": self._claim}
        return self._rows(**mine).exists()

    def context(self, call: host.Call) -> RunContext:
        """The run, for the body; see `children.host.Attempt`."""
        return RunContext(
            self._header,
            call=call,
            ask=self._ask,
            still_counts=self._has_claim,
            shares_transaction=not self._thread.separate,
        )

    def _ask(self, what: str, work: Callable[[], T]) -> T:
        """Make statements for the body, over the engine's connection, and wait for their end."""
        asked = self._start(partial(retry_while_database_is_down, f"{what} of {self._step}", work))
        interruption = wait_ignoring_interruptions(asked)
        try:
            answer = asked.result()
        except AttemptLost:
            self.lost = True
            raise
        if interruption is not None:
            raise interruption
        return answer

    def report(self, meta: Meta, checkpoint: Any = None) -> None:
        """Store a report, or keep an early one for a moment; see `children.host.Attempt`."""
        if self._report is not None and not self._report.done():
            return  # the database is slow; the next report replaces this one
        self._end_report()
        if self._thread.separate and _holds_write_lock():
            self._defer_report(meta, checkpoint)
            return
        early = self._early_until - time.monotonic()
        if self._thread.separate and early > 0 and checkpoint is None:
            self._drop_early_report()  # or it was dropped, or belongs to the process that forked
            self._newest = meta
            self._early_report = call_later(early, self._begin_early_report)
            return
        self._drop_early_report()
        self._report = self._start(partial(self._store, meta, checkpoint))
        # The body does not wait longer for a lock on the row or on the whole database.
        wait([self._report], REPORT_TIMEOUT)
        self._end_report()

    def _end_report(self) -> None:
        """If the last report is done, raise its error, once."""
        if self._report is None or not self._report.done():
            return
        report, self._report = self._report, None
        try:
            report.result()
        except AttemptLost:
            self.lost = True
            raise

    def _defer_report(self, meta: Meta, checkpoint: Any) -> None:
        """Report after the body's transaction: on SQLite it blocks all other writers."""
        self._deferred_report = meta, checkpoint
        if connection.in_atomic_block:
            transaction.on_commit(self._send_deferred_report)

    def _send_deferred_report(self) -> None:
        report, self._deferred_report = self._deferred_report, None
        if report is not None:
            self.report(*report)

    def _begin_early_report(self) -> None:
        """The first moment is over: store what was reported in it."""
        if self._newest is not None:
            self._report = self._start(self._store_newest)

    def _store_newest(self) -> None:
        newest = self._newest
        if newest is None:  # a later one is stored, or the child has ended
            return
        if self._store(newest, None):
            if self._newest is newest:  # the body may have reported meanwhile
                self._newest = None
        else:  # the body may be in a transaction of SQLite, and report nothing more
            self._early_report = call_later(REPORT_TIMEOUT, self._begin_early_report)

    def _drop_early_report(self) -> None:
        self._newest = None
        if self._early_report is not None:
            cancel(self._early_report)

    def _store(self, meta: Meta, checkpoint: Any) -> bool:
        """Store a report; return False if the database is down or locked."""
        self._log.store()
        try:
            stored = self._update_step(meta, checkpoint)
        except OUTAGE as exc:
            if connection.in_atomic_block:
                raise
            logger.warning("%s: report not stored: %s", self.task_id, exc)
            connection.close()
            return False
        if not stored:
            raise AttemptLost(
                f"Attempt {self.task_id} no longer counts: it was cancelled, or its lease "
                "lapsed. Let this exception end the body."
            )
        return True

    def _update_step(self, meta: Meta, checkpoint: Any) -> bool:
        """Write the report to the step's row, in one statement, if the attempt still counts."""
        pace, measured_for = self._last_report.replace(meta, timezone.now())
        values = {name: getattr(meta, name) for name in REPORT_COLUMNS}
        values["completion"] = min(meta.completion, ALMOST)  # only an outcome has 100
        values |= {"reported_at": timedelta(), "unmirrored_since": timedelta()}
        if self._model is Step:  # the pace of items is that of their step
            values["paced_since"] = -measured_for
            if pace is not None:  # until then the row keeps the pace of an earlier attempt
                values["pace"] = pace
        if checkpoint is not None:
            values["checkpoint"] = checkpoint
        return update_attempt(
            self.task_id,
            values,
            expected_state=StepState.RUNNING,
            claim=self._claim,
            if_null="unmirrored_since",
            model=self._model,
        )

    def finish(
        self, outcome: Meta, traceback: str | None = None, error: Exception | None = None
    ) -> bool:
        """Record the outcome and start what follows; see `children.host.Attempt`."""
        self._drop_early_report()
        finish = self._start(partial(self._finish, outcome, traceback, error))
        # A time limit raised now is too late: the body has ended.
        wait_ignoring_interruptions(finish)
        final = finish.result()
        self.ended = True
        return final

    def _finish(self, outcome: Meta, traceback: str | None, error: Exception | None) -> bool:
        self._log.store()  # before the end, after which another attempt may have the step
        retry = retry_decision(self._workflow, self._step, error) if error is not None else None
        hand_over = None
        # After a failure only the other items of a message go on in this process.
        goes_on = outcome.error is None or self._model is Item
        if goes_on and self._delivery is not None:
            hand_over = HandOver(self._delivery)
        record_end = partial(
            retry_while_database_is_down,
            f"finish {self.task_id}",
            partial(
                record,
                self.name,
                self.task_id,
                outcome,
                traceback,
                retry=retry,
                has_result=self._has_result,
                hand_over=hand_over,
                end=end_item if self._model is Item else end_attempt,
            ),
            on_error=self._end_broken_process,
        )
        try:
            ending = record_end()
        except Exception:
            if not self._thread.separate:
                raise
            logger.exception("%s: recording its end again over a new connection", self.task_id)
            connection.close()
            ending = record_end()
        if ending is Ending.DROPPED:
            logger.warning("%s: outcome dropped: the attempt no longer counts", self.task_id)
            delete = partial(orphan_results.delete_of, self.task_id)
            retry_while_database_is_down(f"delete the result of {self.task_id}", delete)
        if hand_over is not None and hand_over.taken is not None:
            # After an error of the database, an earlier try may have been committed.
            confirm = partial(
                retry_while_database_is_down, f"finish {self.task_id}", hand_over.committed
            )
            taken = hand_over.taken if ending is Ending.ENDED else confirm()
            self.follower = self._follower(taken) if taken is not None else None
        return ending is not Ending.RETRIED

    def _follower(self, step: Step | Item) -> host.Follower:
        header = attempt_header(step)

        def begin() -> RunningAttempt:
            attempt = RunningAttempt(
                str(step.task_id),
                header,
                self._thread,
                delivery=self._delivery,
                claim=step.claim,
            )
            attempt.begin_claimed()
            return attempt

        return host.Follower(
            task=current_app.tasks[step.task],
            task_id=str(step.task_id),
            kwargs=step.kwargs or {},
            headers={host.HEADER: header, **tracing.headers(step.run)},
            begin=begin,
        )

    def _end_broken_process(self, outage: Exception) -> None:
        if self._thread.separate and sqlite_files_closed(outage):
            self._broken_outages += 1
            if self._broken_outages > 1:  # a new connection failed too
                end_process(f"{self.name} has closed files under it ({outage})")

    def abandon(self) -> None:
        """End this attempt of a cancelled run; see `children.host.Attempt`."""
        end_now = end_cancelled_item if self._model is Item else end_cancelled

        def end() -> None:
            self._log.store()
            end_now(self.task_id)

        self._drop_early_report()
        work = partial(retry_while_database_is_down, f"abandon {self.task_id}", end)
        abandoned = self._start(work)
        wait_ignoring_interruptions(abandoned)
        abandoned.result()
        self.ended = True


def _holds_write_lock() -> bool:
    """Whether the body is in a transaction that blocks all other writers (SQLite)."""
    mine = connections[DEFAULT_DB_ALIAS]
    return mine.vendor == "sqlite" and in_transaction(mine)
