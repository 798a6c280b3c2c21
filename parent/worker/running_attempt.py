"""One attempt, in the process that runs it: claim, report, finish.

The engine's own thread runs the statements, over a connection that the body cannot reach.
"""

from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

from celery import current_app
from celery.utils.log import get_logger
from django.db import connection

from children import host
from children.errors import AttemptLost
from children.isolation.run_isolated import end_process
from children.meta import Meta, error_text
from parent.decisions.first_look import first_look
from parent.deletion import orphan_results
from parent.logs.attempt_log import AttemptLog
from parent.messages.publish import attempt_header
from parent.models import Item, Step
from parent.runs.automatic_retry import retry_decision
from parent.runs.context import RunContext
from parent.runs.endings import Ending, end_attempt, end_cancelled, record
from parent.runs.following.hand_over import HandOver
from parent.runs.items.end_of_item import end_cancelled_item, end_item
from parent.store.outage import retry_while_database_is_down, sqlite_files_closed
from parent.telemetry import tracing
from parent.worker.attempt.claim import Claim
from parent.worker.attempt.reported_row import ReportedRow
from parent.worker.attempt.reporter import Reporter
from parent.worker.engine_thread import EngineThread, SameThread, wait_ignoring_interruptions

__all__ = ["RunningAttempt"]

logger = get_logger(__name__)

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
        # Copied before the body runs, so that its changes do not reach the engine's statements.
        self._context = copy_context()
        self._has_result = has_result
        self._broken_outages = 0
        claim = claim or uuid4()
        self._claim = Claim(task_id, self._model, claim)
        self._row = ReportedRow(task_id, self._model, claim)
        separate = self._thread.separate
        self._reporter = Reporter(self._start, self._store, self.report_interval, separate=separate)
        wake = self._reporter.store_later if separate else None
        self._log = AttemptLog(task_id, self._model, self._workflow, wake)
        self.log = self._log.buffer

    def _start(self, work: Callable[[], T]) -> "Future[T]":
        return self._thread.start(partial(self._context.copy().run, work))

    def claim(self) -> bool:
        """Set the step from QUEUED to RUNNING; return True for exactly one of all deliveries.

        Raises:
            SoftTimeLimitExceeded: it was raised during the claim. It is recorded as the outcome.
        """
        claim = self._start(self._take)
        interruption = wait_ignoring_interruptions(claim)
        claimed = claim.result()
        if claimed and interruption is not None:
            error = f"Error in {self.name}: {error_text(interruption)}"
            self._delivery = None  # what is raised here leaves no way to a follower
            self.finish(Meta().failed(error), error=interruption)
            raise interruption
        return claimed

    def _take(self) -> bool:
        header = self._header
        look_at = header["look_at"] and datetime.fromisoformat(header["look_at"])
        look = first_look(look_at, (header["run_timeout"], header["stall_timeout"]))
        claimed = self._claim.take(look)
        if claimed:
            self._read_earlier()
        return claimed

    def go_on_from(self, earlier: UUID) -> bool:
        """Claim an attempt that runs already, if it has this earlier claim: Celery retries it."""
        claim = self._start(partial(self._claim.take_over, earlier))
        wait_ignoring_interruptions(claim)
        return claim.result()

    def requeue(self, earlier: UUID | None) -> None:
        """Undo the claim: the broker delivers the message again.

        Args:
            earlier: the claim that it had before this one; None makes the step QUEUED.
        """
        wait_ignoring_interruptions(self._start(partial(self._claim.give_back, earlier)))

    def begin_claimed(self) -> None:
        """Begin an attempt that the end of the child before it has claimed."""
        if not self._has_earlier:
            return
        begin = self._start(self._read_earlier)
        wait_ignoring_interruptions(begin)
        begin.result()

    def _read_earlier(self) -> None:
        if self._has_earlier:
            self.checkpoint = self._claim.read_checkpoint()

    def context(self, call: host.Call) -> RunContext:
        """The run, for the body; see `children.host.Attempt`."""
        return RunContext(
            self._header,
            call=call,
            ask=self._ask,
            still_counts=self._claim.is_held,
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
        """See `children.host.Attempt`."""
        self._reporter.report(meta, checkpoint)

    def report_later(self, seconds: float, read: Callable[[], tuple[Meta, Any]]) -> None:
        """See `children.host.Attempt`."""
        self._reporter.report_later(seconds, read)

    def _store(self, report: tuple[Meta, Any] | None) -> bool:
        self._log.store()
        if report is None:
            return True
        try:
            return self._row.write(*report)
        except AttemptLost:
            self.lost = True
            raise

    def finish(
        self, outcome: Meta, traceback: str | None = None, error: Exception | None = None
    ) -> bool:
        """Record the outcome and start what follows; see `children.host.Attempt`."""
        self._reporter.end()
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

        self._reporter.end()
        work = partial(retry_while_database_is_down, f"abandon {self.task_id}", end)
        abandoned = self._start(work)
        wait_ignoring_interruptions(abandoned)
        abandoned.result()
        self.ended = True
