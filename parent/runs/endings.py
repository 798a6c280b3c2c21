"""The ends of attempts and of runs. Each end is one transaction that locks the run's row.

It writes the outcome and the steps that open next; at the end of the run also the run's own meta
and its `TaskResult`.
"""

from collections.abc import Callable
from copy import copy
from datetime import datetime
from enum import IntEnum
from functools import partial
from typing import Any
from uuid import UUID

from celery import current_app
from celery.utils.log import get_logger
from django.db import transaction

from children.meta import Meta, error_text
from children.sanitize import clean_text, clean_traceback
from parent.errors import TransactionEnded
from parent.messages.publish import publish_steps
from parent.models import Item, Run, RunState, Step, StepState
from parent.models.fields import META_COLUMNS
from parent.notifications.announce import announce_failed_steps
from parent.runs.advance import NEW_ATTEMPT_COLUMNS, SKIPPED_COLUMNS, advance, write_run
from parent.runs.attempts import archive, queue_attempt
from parent.runs.automatic_retry import RetryDecision, retry_at, with_attempt_count
from parent.runs.concurrency import shared_limits
from parent.runs.following.hand_over import HandOver
from parent.runs.items.bulk import end_items
from parent.runs.nested.of_items import item_runs
from parent.runs.transitions import mark_skipped
from parent.store import results
from parent.store.outage import OUTAGE, is_too_large
from parent.store.run_rows import Locked, lock_for_end, lock_run, lock_run_row
from parent.store.writes.one_row import RowChanged, write_if
from parent.store.writes.update import write

__all__ = [
    "Ending",
    "bring_up",
    "bring_up_after_commit",
    "end_attempt",
    "end_cancelled",
    "end_run",
    "end_step",
    "not_recorded",
    "outcome_of",
    "record",
]

logger = get_logger(__name__)

END_COLUMNS = (
    *("state", "traceback", "started_at", "finished_at", "due_at", "unmirrored_since"),
    *META_COLUMNS,
)
"""What the end of a step writes."""


class Ending(IntEnum):
    """What became of an outcome. DROPPED, which is false, if the attempt no longer counted."""

    DROPPED = 0
    ENDED = 1
    RETRIED = 2


def record(  # noqa: PLR0913 - those of `end`, and which that is
    name: str,
    task_id: str,
    outcome: Meta,
    traceback: str | None = None,
    *,
    retry: RetryDecision | None = None,
    has_result: bool = True,
    expected_state: str | None = None,
    hand_over: HandOver | None = None,
    end: Callable[..., Ending] | None = None,
) -> Ending:
    """`end_attempt`; if the outcome cannot be stored, the step ends with that error instead.

    Args:
        name: the step's name, for the error.
        end: in place of `end_attempt`, for the attempt of an item.
    """
    end = end or end_attempt
    try:
        return end(
            task_id,
            outcome,
            traceback,
            has_result=has_result,
            retry=retry,
            expected_state=expected_state,
            hand_over=hand_over,
        )
    except Exception as exc:
        error = not_recorded(name, task_id, exc)
        if isinstance(exc, TransactionEnded):
            return Ending.ENDED
        if hand_over is not None:
            hand_over.taken = None
        return end(
            task_id,
            outcome.failed(error),
            traceback,
            has_result=has_result,
            expected_state=expected_state,
        )


def not_recorded(name: str, task_id: str, exc: Exception) -> str:
    """The error of a step whose outcome could not be recorded because of `exc`.

    Called when the transaction has failed. If an author's function ended that transaction, this
    also ends the run.

    Raises:
        OUTAGE: `exc`, if it is one: the same outcome may be recorded later.
    """
    if isinstance(exc, OUTAGE) and not is_too_large(exc):
        raise exc
    logger.error("%s: its outcome could not be recorded", task_id, exc_info=exc)
    if isinstance(exc, TransactionEnded):
        end_run(exc.run_id, str(exc))
    return f"Error in {name}: the outcome could not be recorded: {error_text(exc)}"


def end_attempt(
    task_id: str,
    outcome: Meta,
    traceback: str | None = None,
    *,
    has_result: bool = True,
    retry: RetryDecision | None = None,
    expected_state: str | None = None,
    hand_over: HandOver | None = None,
    locked: Locked | None = None,
) -> Ending:
    """Record the outcome of an attempt, once, and advance its run.

    Args:
        has_result: whether there may be a `TaskResult` although no tick has mirrored a report.
        retry: how a failure may be retried, if its step has retries left.
        expected_state: drop the outcome unless the step is in this state; None takes any state
            of an active step.
        hand_over: may claim a step that opens for this process.
        locked: the run with all its steps, if the caller's transaction has locked and read it. If
            this raises, or finds the row changed, the caller's whole transaction is rolled back.
    """
    try:
        with transaction.atomic(savepoint=locked is None):
            return _end_attempt(
                task_id,
                outcome,
                clean_traceback(traceback or ""),
                has_result,
                retry,
                expected_state,
                hand_over,
                locked,
            )
    except RowChanged:
        return Ending.DROPPED


def _end_attempt(
    task_id: str,
    outcome: Meta,
    traceback: str,
    has_result: bool,
    retry: RetryDecision | None,
    expected_state: str | None,
    hand_over: HandOver | None,
    locked: Locked | None,
) -> Ending:
    locked = locked or lock_for_end(task_id, ok=outcome.error is None)
    if locked is None:
        return Ending.DROPPED
    run, steps, now, unread = locked
    step = next((step for step in steps if step.task_id == task_id), None)
    expected_states = Step.ACTIVE if expected_state is None else (expected_state,)
    if step is None or step.state not in expected_states:
        return Ending.DROPPED
    if run.cancel_requested_at is not None:
        retry = None
    # A worker that does not know the task may have stored a failure for one of several messages.
    has_result = has_result or step.publish_count > 1 or step.mirrored_at is not None
    at = retry_at(step, retry, now) if outcome.error is not None else None
    if at is not None and current_app.conf.task_always_eager:
        at = now  # no worker would run it later; Celery's own retries do not wait then either
    if at is None:
        end_step(step, with_attempt_count(step, retry, outcome), traceback, now)
    else:
        step.retries_used += retry.counts if retry is not None else 0
        _retry_step(step, outcome, traceback, at, now)
    advance(run, steps, now, mirror=False, unread=unread, hand_over=hand_over, ended=step)
    bring_up_after_commit(run)
    if has_result:
        results.delete([task_id])
    if at is None:
        return Ending.ENDED
    if step.limits:
        shared_limits.enter([step])
    elif at <= now:
        # After the commit an error of the database would be taken for one of this end.
        step.refresh_from_db(fields=["kwargs"])
        transaction.on_commit(partial(publish_steps, [step]))
    return Ending.RETRIED


def end_cancelled(task_id: str) -> bool:
    """End a running step of a cancelled run as CANCELLED; False if it is not running any more."""
    try:
        with transaction.atomic():
            locked = lock_for_end(task_id, ok=False)
            if locked is None or locked.run.cancel_requested_at is None:
                return False
            run, steps, now, unread = locked
            step = next((step for step in steps if step.task_id == task_id), None)
            if step is None:
                return False
            outcome = step.meta.failed(f"{step.name} was cancelled")
            end_step(step, outcome, "", now, StepState.CANCELLED)
            advance(run, steps, now, unread=unread)
            bring_up_after_commit(run)
            results.delete([task_id])
    except RowChanged:
        return False
    return True


def end_run(run_id: Any, error: str, *, expected_version: int | None = None) -> bool:
    """End a whole run: active steps become ERROR, waiting steps are skipped. Child runs end too.

    Args:
        expected_version: do nothing if the run has another version: it went on meanwhile.
    """
    try:
        with transaction.atomic():
            locked = lock_run(run_id)
            if locked is None or locked.run.ended:
                return False
            if expected_version not in (None, locked.run.version):
                return False
            _end_locked_run(locked, error)
            bring_up_after_commit(locked.run)
    except RowChanged:
        # A claim came first. The next tick finds the step RUNNING and ends it.
        return False
    return True


def _end_locked_run(locked: Locked, error: str) -> None:
    run, steps, now, _ = locked
    waiting = [step for step in steps if step.state == StepState.WAITING]
    ending = [step for step in steps if step.state in Step.ACTIVE] or waiting[:1]
    for step in ending:
        own = _end_child_run(step, error) if step.nested else None
        end_step(step, own or step.meta.failed(error), "", now)
    # `plan` is not used: it would open steps that depend on none of these. And it would
    # make the run a SUCCESS if all steps are OK, which happens when no worker knew how to
    # end the run.
    skipped = [step for step in waiting if step.state == StepState.WAITING]
    mark_skipped(skipped, now)
    write(skipped, SKIPPED_COLUMNS)
    final = RunState.FAILURE if run.cancel_requested_at is None else RunState.REVOKED
    write_run(run, steps, final, now, error)
    results.delete(step.task_id for step in ending if step.task_id)


def _end_child_run(step: Step, error: str) -> Meta | None:
    """End the run of a step that ends; its outcome, if it had ended by itself just before."""
    if step.child_run_id is None or step.state != StepState.RUNNING:
        return None
    locked, own = lock_run(step.child_run_id), None
    if locked is not None and locked.run.ended:
        locked.run.refresh_from_db(fields=["result"])
        own = outcome_of(step, locked.run)
    elif locked is not None:
        _end_locked_run(locked, error)
    Run.objects.filter(pk=step.child_run_id).update(due_at=None)
    return own


def outcome_of(step: Step | Item, run: Run) -> Meta:
    """The outcome of this step, or item, which is a child run that has ended."""
    if run.error is None:
        return run.meta
    return run.meta.failed(f"Error in {step.name}: {run.error.removeprefix('Error in ')}")


def bring_up_after_commit(run: Run) -> None:
    """`bring_up` when the transaction commits, if the run is a child run that has ended.

    If that fails, a tick does it: the run stays due until it is done.
    """
    if run.ended and run.is_child:
        # Not a `partial`: if it fails, Django logs its `__qualname__`, and a `partial` has none.
        transaction.on_commit(lambda: bring_up(run.pk), robust=True)


def bring_up(run_id: UUID) -> bool:
    """End the step or the item that this child run is, if the run has ended; False if there is
    nothing to end.

    The outcome of the run is that of the step.
    """
    above = Run.objects.filter(pk=run_id).values_list("parent_run_id", flat=True).first()
    if above is None:
        return False
    if Item.objects.filter(child_run_id=run_id).exists():
        return item_runs().end(run_id)
    with transaction.atomic():
        # The run above first, as everywhere.
        locked = lock_run_row(above)
        rows = Run.objects.select_for_update(of=("self",), no_key=True).defer("params", "files")
        run = rows.filter(pk=run_id).first()
        if locked is None or run is None or not run.ended:
            return False
        if run.due_at is not None:
            Run.objects.filter(pk=run_id).update(due_at=None)
        mine = Step.objects.filter(child_run_id=run_id, state=StepState.RUNNING)
        step = mine.only("name", "task_id", "run_id").first()
        if step is None:
            return False
        if locked.run.cancel_requested_at is not None and run.state == RunState.REVOKED:
            return end_cancelled(str(step.task_id))
        return bool(
            record(
                step.name,
                str(step.task_id),
                outcome_of(step, run),
                has_result=False,
                expected_state=StepState.RUNNING,
            )
        )


def end_step(
    step: Step | Item, outcome: Meta, traceback: str, now: datetime, state: StepState | None = None
) -> None:
    """Write the outcome of the present attempt, if the step still has the state that was read.

    What is left of a mapped step's items ends with it.

    Args:
        state: the step's new state; None takes OK or ERROR, by the outcome.

    Raises:
        RowChanged: the step's state has changed.
    """
    expected_state = step.state
    if expected_state not in (*Step.ACTIVE, StepState.WAITING):
        raise RowChanged(f"{step.name} is {step.state}, and has no attempt to end.")
    step.state = state or (StepState.OK if outcome.error is None else StepState.ERROR)
    step.set_meta(outcome)
    step.traceback, step.finished_at = traceback, now
    step.due_at = step.unmirrored_since = None
    step.started_at = step.started_at or (now if outcome.error is None else None)
    columns: tuple[str, ...] = END_COLUMNS
    if isinstance(step, Step) and step.items is not None and step.is_mapped:
        error = f"{step.name} has ended: {outcome.error}" if outcome.error else ""
        step.items = end_items(step, step.state, clean_text(error), now).as_dict()
        columns = (*columns, "items")
    write_if(step, columns, expected_state=expected_state)
    shared_limits.begin_next_after_commit(step.limits)
    if isinstance(step, Step):
        announce_failed_steps([step])


def _retry_step(step: Step, failure: Meta, traceback: str, at: datetime, now: datetime) -> None:
    """Replace a failed attempt by a new one, if the step still has the state that was read.

    Raises:
        RowChanged: the step's state has changed.
    """
    expected_state = step.state
    step.set_meta(failure)
    step.traceback = traceback
    archive([copy(step)], now)
    queue_attempt(step, now, at if at > now else None)
    step.message = clean_text(f"retry {step.retries_used} of {step.retries} after: {failure.error}")
    # `kwargs` stay as they are; they are deferred, so writing them would first read them.
    columns = [name for name in NEW_ATTEMPT_COLUMNS if name != "kwargs"]
    write_if(step, columns, expected_state=expected_state)
    shared_limits.begin_next_after_commit(step.limits)
