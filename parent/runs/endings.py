"""How attempts and runs end. Each ending is one transaction that holds the run's row: the
outcome, what opens next, and at the end the run's own meta and its `TaskResult`.
"""

from copy import copy
from datetime import datetime
from enum import IntEnum
from functools import partial
from typing import Any

from django.db import transaction

from children.meta import Meta
from children.sanitize import clean_text, clean_traceback
from parent.messages.publish import publish_steps
from parent.models import RunState, Step, StepState
from parent.models.fields import META_COLUMNS
from parent.runs.advance import ATTEMPT, SKIPPED, advance, write_run
from parent.runs.attempts import RetryDecision, archive, exhausted, queue_attempt, retry_at
from parent.runs.transitions import mark_skipped
from parent.store import results
from parent.store.run_rows import lock_for_end, lock_run
from parent.store.writes import Overtaken, write, write_if

__all__ = ["Ending", "end_attempt", "end_cancelled", "end_run", "end_step"]

END = ("state", "traceback", "started_at", "finished_at", "due_at", *META_COLUMNS)
"""The columns that the end of a step writes."""


class Ending(IntEnum):
    """What became of an outcome. Falsy where the attempt no longer counted."""

    DROPPED = 0
    ENDED = 1
    RETRIED = 2


def end_attempt(
    task_id: str,
    outcome: Meta,
    traceback: str | None = None,
    *,
    reported: bool = True,
    retry: RetryDecision | None = None,
    seen: str | None = None,
) -> Ending:
    """Record the outcome of an attempt, once, and go on with its run.

    Args:
        reported: whether the child may have a `TaskResult` to delete.
        retry: of a failure, how it may be retried, where its step has retries left.
        seen: the step's state for which this is the outcome; it is dropped in another one.
    """
    try:
        with transaction.atomic():
            return _end_attempt(
                task_id, outcome, clean_traceback(traceback or ""), reported, retry, seen
            )
    except Overtaken:
        return Ending.DROPPED


def _end_attempt(
    task_id: str,
    outcome: Meta,
    traceback: str,
    reported: bool,
    retry: RetryDecision | None,
    seen: str | None,
) -> Ending:
    locked = lock_for_end(task_id, ok=outcome.error is None)
    if locked is None:
        return Ending.DROPPED
    run, steps, now, rest = locked
    step = next((step for step in steps if step.task_id == task_id), None)
    if step is None or step.state not in (Step.ACTIVE if seen is None else (seen,)):
        return Ending.DROPPED
    if run.cancel_requested_at is not None:
        retry = None
    # Of two messages, a worker that does not know the task may have refused one.
    reported = reported or step.publish_count > 1
    at = retry_at(step, retry, now) if outcome.error is not None else None
    if at is None:
        end_step(step, exhausted(step, retry, outcome), traceback, now)
    else:
        step.retries_used += retry.counts if retry is not None else 0
        _retry_step(step, outcome, traceback, at, now)
    advance(run, steps, now, mirror=False, rest=rest)
    if reported:
        # After the step's row was written: a first report that held it has its row in by now.
        results.delete([task_id])
    if at is None:
        return Ending.ENDED
    if at <= now:
        transaction.on_commit(partial(publish_steps, [step]))
    return Ending.RETRIED


def end_cancelled(task_id: str) -> bool:
    """Take note that a running child of a cancelled run has ended, or is given up."""
    try:
        with transaction.atomic():
            locked = lock_for_end(task_id, ok=False)
            if locked is None or locked.run.cancel_requested_at is None:
                return False
            run, steps, now, rest = locked
            step = next((step for step in steps if step.task_id == task_id), None)
            if step is None:
                return False
            outcome = step.meta.failed(f"{step.name} was cancelled")
            end_step(step, outcome, "", now, StepState.CANCELLED)
            advance(run, steps, now, rest=rest)
            results.delete([task_id])
    except Overtaken:
        return False
    return True


def end_run(run_id: Any, error: str, *, seen: int | None = None) -> bool:
    """End a whole run: what is active becomes an ERROR, what waits is skipped.

    Args:
        seen: the version of the run that is to end; one that has gone on since is left alone.
    """
    try:
        with transaction.atomic():
            locked = lock_run(run_id)
            if locked is None or locked.run.ended or seen not in (None, locked.run.version):
                return False
            run, steps, now, _ = locked
            waiting = [step for step in steps if step.state == StepState.WAITING]
            ending = [step for step in steps if step.state in Step.ACTIVE] or waiting[:1]
            for step in ending:
                end_step(step, step.meta.failed(error), "", now)
            # Not by what `plan` finds: it would open what depends on none of these, and call a
            # run good whose steps are all OK, though no worker has known how to end it.
            skipped = [step for step in waiting if step.state == StepState.WAITING]
            mark_skipped(skipped, now)
            write(skipped, SKIPPED)
            final = RunState.FAILURE if run.cancel_requested_at is None else RunState.REVOKED
            write_run(run, steps, final, now, error)
            results.delete(step.task_id for step in ending if step.task_id)
    except Overtaken:
        # A claim came in between; the next tick finds the step RUNNING and ends it then.
        return False
    return True


def end_step(
    step: Step, outcome: Meta, traceback: str, now: datetime, state: StepState | None = None
) -> None:
    """Write the outcome of the present attempt, if it is still in the state it was read in.

    Raises:
        Overtaken: it is not.
    """
    was = step.state
    if was not in (*Step.ACTIVE, StepState.WAITING):
        raise Overtaken
    step.state = state or (StepState.OK if outcome.error is None else StepState.ERROR)
    step.set_meta(outcome)
    step.traceback, step.finished_at, step.due_at = traceback, now, None
    step.started_at = step.started_at or (now if outcome.error is None else None)
    write_if(step, END, was=was)


def _retry_step(step: Step, failure: Meta, traceback: str, at: datetime, now: datetime) -> None:
    """Put a new attempt in the place of a failed one, if that is still as it was read.

    Raises:
        Overtaken: it is not.
    """
    was = step.state
    step.set_meta(failure)
    step.traceback = traceback
    archive([copy(step)], now)
    queue_attempt(step, now, at if at > now else None)
    step.message = clean_text(f"retry {step.retries_used} of {step.retries} after: {failure.error}")
    # What it was given stays, and was not read.
    columns = [name for name in ATTEMPT if name != "kwargs"]
    write_if(step, columns, was=was)
