"""A run's transitions. Each is one transaction that holds the run's row, and says all of it:
the outcome, what opens next, the run's own meta and its `TaskResult`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from celery.utils.log import get_logger
from django.db import transaction

from children.meta import Meta, error_text
from parent import results
from parent.models import Run, RunState, Step, StepState
from parent.opening import open_step, run_data, run_result
from parent.plan import plan, run_meta
from parent.publish import publish_steps
from parent.rows import select, update_row

__all__ = ["begin", "end_attempt", "end_run"]

logger = get_logger(__name__)

ATTEMPT_FIELDS = (
    "state", "attempt", "task_id", "claim", "executor_id", "kwargs", "publishes", "due_at",
    "queued_at", "started_at", "reported_at", "finished_at", "traceback",
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

BY_ID = "id = %s"
BY_ATTEMPT = "id = (SELECT run_id FROM parent_step WHERE task_id = %s)"


def begin(run_id: Any) -> bool:
    """Open the first steps of a run that has not begun; False where it has, or is gone."""
    with transaction.atomic():
        run, steps, now = _lock(BY_ID, run_id)
        if run is None or run.state != RunState.PENDING:
            return False
        run.state, run.started_at, run.due_at = RunState.STARTED, now, run.deadline_at
        _advance(run, steps, now)
    return True


def end_attempt(
    task_id: str, outcome: Meta, traceback: str | None = None, *, reported: bool = True
) -> bool:
    """Record the outcome of an attempt, once, and go on with its run.

    Args:
        reported: whether the child may have a `TaskResult` to delete.

    Returns:
        False where the attempt no longer counts: nothing was changed.
    """
    with transaction.atomic():
        run, steps, now = _lock(BY_ATTEMPT, task_id)
        step = next((step for step in steps if step.task_id == task_id), None)
        if run is None or step is None or not _end_step(step, outcome, traceback or "", now):
            return False
        if reported:
            results.forget([task_id])
        _advance(run, steps, now)
    return True


def end_run(run_id: Any, error: str) -> bool:
    """End a whole run: what is active becomes an ERROR, what waits is skipped."""
    with transaction.atomic():
        run, steps, now = _lock(BY_ID, run_id)
        if run is None or run.ended:
            return False
        active = [step for step in steps if step.state in Step.ACTIVE] or steps[:1]
        run.started_at = run.started_at or now
        for step in active:
            if not _end_step(step, step.meta.failed(error), "", now):
                # A claim came in between; the next tick finds it RUNNING and ends it then.
                transaction.set_rollback(True)
                return False
        results.forget(step.task_id for step in active if step.task_id)
        _advance(run, steps, now)
    return True


def _lock(where: str, key: UUID | str) -> tuple[Run | None, list[Step], datetime]:
    """The run, locked, its steps, and the database's time. Every transition begins here."""
    # Only the run's own row: the tick locks runs before it touches steps, and so do we.
    found: list[Any] = select(Run, where, key, lock=True)
    if not found:
        return None, [], datetime.min  # noqa: DTZ901
    # Read once the lock is held: whoever held it before may have changed them.
    steps = select(Step, 'run_id = %s ORDER BY "index"', found[0].pk)
    return found[0], steps, found[0].db_now


def _end_step(step: Step, outcome: Meta, traceback: str, now: datetime) -> bool:
    """Write the outcome if the attempt is still in the state it was read in."""
    was = step.state
    if was not in (*Step.ACTIVE, StepState.WAITING):
        return False
    step.state = StepState.OK if outcome.error is None else StepState.ERROR
    step.set_meta(outcome)
    step.traceback, step.finished_at, step.due_at = traceback, now, None
    step.started_at = step.started_at or (now if outcome.error is None else None)
    return update_row(Step, _columns(step, END_FIELDS), id=step.pk, attempt=step.attempt, state=was)


def _advance(run: Run, steps: Sequence[Step], now: datetime) -> None:
    """Do what follows from where the steps are, until nothing more follows."""
    by_name = {step.name: step for step in steps}
    opened: list[Step] = []
    while (todo := plan(steps)).open or todo.skip:
        for name in todo.skip:
            by_name[name].state, by_name[name].finished_at = StepState.SKIPPED, now
            by_name[name].save(update_fields=["state", "finished_at"])
        for name in todo.open:
            if open_step(run, by_name[name], steps, now):
                opened.append(by_name[name])
            update_row(Step, _columns(by_name[name], ATTEMPT_FIELDS), id=by_name[name].pk)
    _write_run(run, steps, todo.final, now)
    if opened:
        transaction.on_commit(lambda: publish_steps(opened))


def _write_run(run: Run, steps: Sequence[Step], final: RunState | None, now: datetime) -> None:
    run.version += 1
    if run.state == RunState.STARTED and any(step.state == StepState.OK for step in steps):
        run.state = RunState.PROGRESS
    run.set_meta(run_meta(run.meta, steps, final))
    if final is not None:
        run.state, run.finished_at, run.due_at = final, now, None
    if final is RunState.SUCCESS:
        try:
            run.result = run_result(run, run_data(run, steps), steps)
        except Exception as exc:
            logger.exception("%s[%s]: its result could not be made", run.workflow, run.pk)
            run.state = RunState.FAILURE
            error = f"Error in the result of {run.workflow}: {error_text(exc)}"
            run.set_meta(run.meta.failed(error))
    update_row(Run, _columns(run, RUN_FIELDS), id=run.pk)
    results.write(run, now)
    if final is not None:
        logger.info("%s[%s] ended: %s %s", run.workflow, run.pk, run.state, run.error or "")


def _columns(row: Run | Step, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}
