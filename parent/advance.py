"""A run's transitions. Each is one transaction that holds the run's row, and says all of it:
the outcome, what opens next, the run's own meta and its `TaskResult`.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime
from enum import IntEnum
from functools import partial
from typing import Any
from uuid import UUID

from celery.utils.log import get_logger
from django.db import transaction

from children.meta import Meta, error_text
from children.storable import clean_text
from parent import results
from parent.attempts import Again, archive, exhausted, queue_attempt, retry_at
from parent.models import Run, RunState, Step, StepState
from parent.opening import is_known, open_step, run_data, run_result
from parent.plan import NOTHING, can_go_on, plan, run_meta
from parent.publish import publish_steps, republish_after
from parent.rows import Select, Update, apply, select_all, update, update_row

__all__ = ["Ending", "advance", "end_attempt", "end_cancelled", "end_run", "go_on", "lock_run"]

logger = get_logger(__name__)

ATTEMPT_FIELDS = (
    "state", "attempt", "retried", "task_id", "claim", "executor_id", "kwargs", "publishes",
    "due_at", "queued_at", "started_at", "reported_at", "finished_at", "traceback",
    "iteration", "total", "completion", "message", "error", "result",
)  # fmt: skip

END_FIELDS = (
    "state", "traceback", "started_at", "finished_at", "due_at",
    "iteration", "total", "completion", "message", "error", "result",
)  # fmt: skip

RUN_FIELDS = (
    "state", "version", "started_at", "finished_at", "due_at",
    "iteration", "total", "completion", "message", "error", "result",
)  # fmt: skip

BY_ID = "%s"
BY_ATTEMPT = "(SELECT run_id FROM parent_step WHERE task_id = %s)"


class Ending(IntEnum):
    """What became of an outcome. Falsy where the attempt no longer counted."""

    DROPPED = 0
    ENDED = 1
    RETRIED = 2


def go_on(run_id: Any) -> bool:
    """Do what follows in a run, if anything does; False where it does not, or the run is gone.

    A run goes on by itself, from one finish to the next. This is for one that waits: because a
    process with another version of the code did not know its steps.
    """
    with transaction.atomic():
        run, steps, now = lock_run(BY_ID, run_id)
        if run is None or run.ended or plan(steps) == NOTHING:
            return False
        advance(run, steps, now)
    return True


def end_attempt(
    task_id: str,
    outcome: Meta,
    traceback: str | None = None,
    *,
    reported: bool = True,
    again: Again | None = None,
    seen: str | None = None,
) -> Ending:
    """Record the outcome of an attempt, once, and go on with its run.

    Args:
        reported: whether the child may have a `TaskResult` to delete.
        again: a failure of the kind that may be tried again, where its step has retries left.
        seen: the step's state for which this is the outcome; it is dropped in another one.
    """
    with transaction.atomic():
        run, steps, now = lock_run(BY_ATTEMPT, task_id)
        step = next((step for step in steps if step.task_id == task_id), None)
        if run is None or step is None or step.state not in Step.ACTIVE:
            return Ending.DROPPED
        if seen is not None and step.state != seen:
            return Ending.DROPPED
        if run.cancel_requested_at is not None:
            again = None
        at = retry_at(step, again, now) if outcome.error is not None else None
        if at is None:
            changed = _end_step(step, exhausted(step, again, outcome), traceback or "", now)
        else:
            step.retried += again.counts if again is not None else 0
            changed = _retry_step(step, outcome, traceback or "", at, now)
        if not changed:
            return Ending.DROPPED
        if reported:
            results.forget([task_id])
        advance(run, steps, now)
        if at is not None and at <= now:
            transaction.on_commit(partial(publish_steps, [step]))
    return Ending.ENDED if at is None else Ending.RETRIED


def end_cancelled(task_id: str) -> bool:
    """Take note that a running child of a cancelled run has ended, or is given up."""
    with transaction.atomic():
        run, steps, now = lock_run(BY_ATTEMPT, task_id)
        step = next((step for step in steps if step.task_id == task_id), None)
        if run is None or step is None or run.cancel_requested_at is None:
            return False
        outcome = step.meta.failed(f"{step.name} was cancelled")
        if not _end_step(step, outcome, "", now, StepState.CANCELLED):
            return False
        results.forget([task_id])
        advance(run, steps, now)
    return True


def end_run(run_id: Any, error: str, *, seen: int | None = None) -> bool:
    """End a whole run: what is active becomes an ERROR, what waits is skipped.

    Args:
        seen: the version of the run that is to end; one that has gone on since is left alone.
    """
    with transaction.atomic():
        run, steps, now = lock_run(BY_ID, run_id)
        if run is None or run.ended or seen not in (None, run.version):
            return False
        waiting = [step for step in steps if step.state == StepState.WAITING]
        ending = [step for step in steps if step.state in Step.ACTIVE] or waiting[:1]
        for step in ending:
            if not _end_step(step, step.meta.failed(error), "", now):
                # A claim came in between; the next tick finds it RUNNING and ends it then.
                transaction.set_rollback(True)
                return False
        results.forget(step.task_id for step in ending if step.task_id)
        # Not by what `plan` finds: it would open what depends on none of these, and call a run
        # good whose steps are all OK, though no worker has known how to end it.
        writes = _skip([step for step in waiting if step.state == StepState.WAITING], now)
        final = RunState.FAILURE if run.cancel_requested_at is None else RunState.REVOKED
        _write_run(run, steps, final, now, writes, error)
    return True


def lock_run(where: str, key: UUID | str) -> tuple[Run | None, list[Step], datetime]:
    """The run, locked, its steps, and the database's time. Every transition begins here."""
    # Only the run's own row: the tick locks runs before it touches steps, and so do we.
    runs, steps = select_all(
        Select(Run, f"id = {where}", key, lock=True),
        # Read once the lock is held: whoever held it before may have changed them.
        Select(Step, f'run_id = {where} ORDER BY "index"', key),
    )
    if not runs:
        return None, [], datetime.min  # noqa: DTZ901
    for step in steps:
        step.run = runs[0]
    return runs[0], steps, runs[0].db_now


def _end_step(
    step: Step, outcome: Meta, traceback: str, now: datetime, state: StepState | None = None
) -> bool:
    """Write the outcome if the attempt is still in the state it was read in."""
    was = step.state
    if was not in (*Step.ACTIVE, StepState.WAITING):
        return False
    step.state = state or (StepState.OK if outcome.error is None else StepState.ERROR)
    step.set_meta(outcome)
    step.traceback, step.finished_at, step.due_at = traceback, now, None
    step.started_at = step.started_at or (now if outcome.error is None else None)
    return update_row(Step, _columns(step, END_FIELDS), id=step.pk, attempt=step.attempt, state=was)


def _retry_step(step: Step, failure: Meta, traceback: str, at: datetime, now: datetime) -> bool:
    """Put a new attempt in the place of a failed one, if that is still as it was read."""
    was, attempt = step.state, step.attempt
    step.set_meta(failure)
    step.traceback = traceback
    record = partial(archive, copy(step), now)
    queue_attempt(step, now, at if at > now else None)
    step.message = clean_text(f"retry {step.retried} of {step.retries} after: {failure.error}")
    if not update_row(Step, _columns(step, ATTEMPT_FIELDS), id=step.pk, attempt=attempt, state=was):
        return False
    record()
    return True


def advance(run: Run, steps: Sequence[Step], now: datetime) -> None:
    """Do what follows from where the steps of a locked run are, until nothing more follows."""
    cancelled = run.cancel_requested_at is not None
    by_name = {step.name: step for step in steps}
    opened: list[Step] = []
    writes: list[Update] = []
    todo = plan(steps, cancelled=cancelled)
    if can_go_on(steps) and not is_known(run, steps):
        # Another version of the code is at work here. A tick sends the parent's message again,
        # for a worker that knows how to go on.
        run.due_at = min(filter(None, (now + republish_after(0), run.deadline_at)))
        todo = replace(todo, open=(), final=None)
    else:
        run.due_at = run.deadline_at
    while todo.open or todo.skip:
        writes += _skip([by_name[name] for name in todo.skip], now)
        for name in todo.open:
            if open_step(run, by_name[name], steps, now):
                opened.append(by_name[name])
            writes.append(_update(by_name[name], ATTEMPT_FIELDS))
        todo = plan(steps, cancelled=cancelled)
    _write_run(run, steps, todo.final, now, writes)
    if opened:
        transaction.on_commit(lambda: publish_steps(opened))


def _skip(steps: Sequence[Step], now: datetime) -> list[Update]:
    for step in steps:
        step.state, step.finished_at = StepState.SKIPPED, now
    return [_update(step, ("state", "finished_at")) for step in steps]


def _write_run(
    run: Run,
    steps: Sequence[Step],
    final: RunState | None,
    now: datetime,
    writes: Sequence[Update],
    error: str = "",
) -> None:
    """Write the run and its `TaskResult`, after what was to be written of its steps."""
    run.version += 1
    began = [step.started_at for step in steps if step.started_at is not None]
    run.started_at = run.started_at or min(began, default=None)
    if any(step.state == StepState.OK for step in steps):
        run.state = RunState.PROGRESS
    elif began and run.state == RunState.PENDING:
        run.state = RunState.STARTED
    run.set_meta(run_meta(run.meta, steps, final))
    if final is not None:
        run.state, run.finished_at, run.due_at = final, now, None
    if error:
        run.error = error
    if final is RunState.SUCCESS:
        try:
            run.result = run_result(run, run_data(run, steps), steps)
        except Exception as exc:
            logger.exception("%s[%s]: its result could not be made", run.workflow, run.pk)
            run.state = RunState.FAILURE
            error = f"Error in the result of {run.workflow}: {error_text(exc)}"
            run.set_meta(run.meta.failed(error))
    *_, found = apply(*writes, _update(run, RUN_FIELDS), results.update_of(run, now))
    if not found and run.ended:
        # Celery's cleanup, or a client's `forget()`, took the row: the end must be readable.
        results.create(run, f"parent.{run.workflow}")
    if final is not None:
        logger.info("%s[%s] ended: %s %s", run.workflow, run.pk, run.state, run.error or "")


def _update(row: Run | Step, names: Sequence[str]) -> Update:
    return update(type(row), _columns(row, names), id=row.pk)


def _columns(row: Run | Step, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}
