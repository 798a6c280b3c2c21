"""A run's way from one step to the next. Whoever moves it holds its row."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from celery.utils.log import get_logger
from django.db import transaction

from children.meta import error_text
from parent import results
from parent.log_context import about
from parent.models import Run, RunState, Step, StepState
from parent.opening import is_known, open_step, run_result
from parent.plan import NOTHING, Plan, can_go_on, plan, run_meta, run_state
from parent.publish import publish_steps, republish_after
from parent.rows import Select, Update, apply, select_all, update

__all__ = [
    "ATTEMPT_FIELDS",
    "BY_ATTEMPT",
    "BY_ID",
    "advance",
    "go_on",
    "lock_run",
    "skip",
    "update_of",
    "write_run",
]

logger = get_logger(__name__)

ATTEMPT_FIELDS = (
    "state", "attempt", "retried", "task_id", "claim", "executor_id", "kwargs", "publishes",
    "due_at", "queued_at", "started_at", "reported_at", "finished_at", "traceback",
    "iteration", "total", "completion", "message", "error", "result", "result_size",
)  # fmt: skip

# A step that waited has nothing else yet.
FIRST_ATTEMPT_FIELDS = (
    "state", "attempt", "task_id", "kwargs", "publishes", "due_at", "queued_at",
)  # fmt: skip

RUN_FIELDS = (
    "state", "version", "started_at", "finished_at", "mirrored_at", "due_at",
    "iteration", "total", "completion", "message", "error", "result", "result_size",
)  # fmt: skip

Write = Callable[..., list[bool]]
"""`apply`, or what does the same under a condition."""

BY_ID = "%s"
BY_ATTEMPT = "(SELECT run_id FROM parent_step WHERE task_id = %s)"


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


def lock_run(where: str, key: UUID | str) -> tuple[Run | None, list[Step], datetime]:
    """The run, locked, its steps, and the database's time. Every transition begins here."""
    # Only the run's own row: the tick locks runs before it touches steps, and so do we.
    runs, steps = select_all(
        Select(Run, f"id = {where}", key, lock=True),
        # Read once the lock is held: whoever held it before may have changed them.
        Select(Step, f'run_id = {where} ORDER BY "index"', key, without=("kwargs",)),
    )
    if not runs:
        return None, [], datetime.min  # noqa: DTZ901
    for step in steps:
        step.run = runs[0]
    return runs[0], steps, runs[0].db_now


def advance(
    run: Run,
    steps: Sequence[Step],
    now: datetime,
    changes: Sequence[Update] = (),
    *,
    tell: bool = True,
    write: Write = apply,
) -> None:
    """Do what follows from where the steps of a locked run are, until nothing more follows.

    Args:
        changes: of its steps, to be written along.
        tell: False leaves the run's own row and its `TaskResult` to a tick where a step opens:
            the steps have all that they say, and the claim of the next one has a tick look.
        write: does all the updates; of those that it is given the first is the first of `changes`.

    Raises:
        Overtaken: one of the `changes` came too late.
    """
    cancelled = run.cancel_requested_at is not None
    by_name = {step.name: step for step in steps}
    opened: list[Step] = []
    writes, was_due_at = list(changes), run.due_at
    # Another version of the code may be at work here. A tick sends the parent's message again, for
    # a worker that knows how to go on; what is to be skipped needs none.
    waits = can_go_on(steps) and not is_known(run, steps)
    run.due_at = run.deadline_at
    if waits:
        run.due_at = min(filter(None, (now + republish_after(0), run.deadline_at)))
    todo = _todo(steps, cancelled, waits)
    while todo.open or todo.skip:
        writes += skip([by_name[name] for name in todo.skip], now)
        for name in todo.open:
            step = by_name[name]
            fields: Sequence[str] = ATTEMPT_FIELDS
            if open_step(run, step, steps, now):
                opened.append(step)
                fields = FIRST_ATTEMPT_FIELDS if step.attempt == 1 else ATTEMPT_FIELDS
            writes.append(update_of(step, fields))
        todo = _todo(steps, cancelled, waits)
    if tell or not opened or todo.final is not None or run.due_at != was_due_at:
        write_run(run, steps, todo.final, now, writes, write=write)
    else:
        write(*writes)
    if opened:
        transaction.on_commit(lambda: publish_steps(opened))


def _todo(steps: Sequence[Step], cancelled: bool, waits: bool) -> Plan:
    todo = plan(steps, cancelled=cancelled)
    return replace(todo, open=(), final=None) if waits else todo


def skip(steps: Sequence[Step], now: datetime) -> list[Update]:
    """Mark the steps SKIPPED; what writes that."""
    for step in steps:
        step.state, step.finished_at = StepState.SKIPPED, now
    return [update_of(step, ("state", "finished_at")) for step in steps]


def write_run(
    run: Run,
    steps: Sequence[Step],
    final: RunState | None,
    now: datetime,
    writes: Sequence[Update],
    error: str = "",
    *,
    write: Write = apply,
) -> None:
    """Write the run and its `TaskResult`, after what was to be written of its steps.

    Args:
        final: the state it ends in, None where it goes on.
        error: instead of that of its first failed step.
    """
    run.version += 1
    run.mirrored_at = now
    began = [step.started_at for step in steps if step.started_at is not None]
    run.started_at = run.started_at or min(began, default=None)
    run.state = run_state(RunState(run.state), steps)
    run.set_meta(run_meta(run.meta, steps, final))
    if final is not None:
        run.state, run.finished_at, run.due_at = final, now, None
    if error:
        run.error = error
    if final is RunState.SUCCESS:
        try:
            run.set_meta(run_result(run, steps))
        except Exception as exc:
            with about(run):
                logger.exception("%s[%s]: its result could not be made", run.workflow, run.pk)
            run.state = RunState.FAILURE
            error = f"Error in the result of {run.workflow}: {error_text(exc)}"
            run.set_meta(run.meta.failed(error))
    *_, found = write(*writes, update_of(run, RUN_FIELDS), results.update_of(run, now))
    if not found and run.ended:
        # Celery's cleanup, or a client's `forget()`, took the row: the end must be readable.
        results.create(run, f"parent.{run.workflow}")
    if final is not None:
        with about(run):
            logger.info("%s[%s] ended: %s %s", run.workflow, run.pk, run.state, run.error or "")


def update_of(row: Run | Step, names: Sequence[str], **while_it_is: Any) -> Update:
    """What writes these columns of a row; where `while_it_is` is given it must still be so."""
    values = {name: getattr(row, name) for name in names}
    return update(type(row), values, required=bool(while_it_is), id=row.pk, **while_it_is)
