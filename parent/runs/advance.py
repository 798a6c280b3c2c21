"""A run's way from one step to the next. Whoever moves it holds its row."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from celery.utils.log import get_logger
from django.db import transaction

from children.meta import error_text
from parent.decisions.plan import ACTIVE, NOTHING, Summary, plan, run_meta, run_state, summarize
from parent.messages.publish import first_to_publish, publish_steps, republish_after
from parent.models import Run, RunState, Step
from parent.runs.opening import is_known, run_result
from parent.runs.transitions import Moves, mark_skipped, move
from parent.store import results
from parent.store.rows import Select, Update, apply, select_all, update
from parent.store.run_steps import FEW, Rest, steps_near
from parent.store.run_summaries import read_summaries
from parent.telemetry.log_context import about

__all__ = [
    "ATTEMPT_FIELDS",
    "BY_ATTEMPT",
    "BY_ID",
    "advance",
    "bring_up",
    "go_on",
    "lock_near",
    "lock_run",
    "skip",
    "tell_end",
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

SKIPPED_FIELDS = ("state", "finished_at")

REFUSED_FIELDS = (
    "state", "finished_at", "traceback",
    "iteration", "total", "completion", "message", "error", "result", "result_size",
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


def lock_run(
    where: str, key: UUID | str, *, at_most: int = 0
) -> tuple[Run | None, list[Step], datetime]:
    """The run, locked, its steps, and the database's time. Every transition begins here."""
    limit = f" LIMIT {at_most}" if at_most else ""
    # Only the run's own row: the tick locks runs before it touches steps, and so do we.
    runs, steps = select_all(
        Select(Run, f"id = {where}", key, lock=True),
        # Read once the lock is held: whoever held it before may have changed them.
        Select(Step, f'run_id = {where} ORDER BY "index"{limit}', key, without=("kwargs",)),
    )
    if not runs:
        return None, [], datetime.min  # noqa: DTZ901
    for step in steps:
        step.run = runs[0]
    return runs[0], steps, runs[0].db_now


def lock_near(task_id: str, *, ok: bool) -> tuple[Run | None, list[Step], datetime, Rest | None]:
    """`lock_run` for the end of an attempt: of very many steps only those that it concerns, and
    what there is to know of the rest.

    Args:
        ok: whether the attempt ends well.
    """
    run, steps, now = lock_run(BY_ATTEMPT, task_id, at_most=FEW + 1)
    if run is None or len(steps) <= FEW:
        return run, steps, now, None
    steps, rest = steps_near(run, task_id, ok=ok)
    return run, steps, now, rest


def advance(
    run: Run,
    steps: Sequence[Step],
    now: datetime,
    changes: Sequence[Update] = (),
    *,
    tell: bool = True,
    write: Write = apply,
    rest: Rest | None = None,
) -> None:
    """Do what follows from where the steps of a locked run are, until nothing more follows.

    Args:
        changes: of its steps, to be written along.
        tell: False leaves the run's own row and its `TaskResult` to a tick where a step opens:
            the steps have all that they say, and the claim of the next one has a tick look.
        write: does all the updates; of those that it is given the first is the first of `changes`.
        rest: where `steps` are not all of the run's: see `lock_near`.

    Raises:
        Overtaken: one of the `changes` came too late.
    """
    was_due_at = run.due_at
    moves = move(run, steps, now, known=is_known(run, steps), rest=rest)
    goes_on = rest is None or rest.active or any(step.state in ACTIVE for step in steps)
    if rest is not None and (moves.refused or not goes_on):
        # More is to be skipped, or the run is over.
        steps, rest = rest.all_with(steps), None
        moves = move(run, steps, now, known=is_known(run, steps), before=moves)
    run.due_at = run.deadline_at
    if moves.waits:
        # Another version of the code may be at work here. A tick sends the parent's message again,
        # for a worker that knows how to go on.
        run.due_at = min(filter(None, (now + republish_after(0), run.deadline_at)))
    first = first_to_publish(moves.opened, now)
    writes = [*changes, *_updates(moves)]
    if tell or not moves.opened or moves.final is not None or run.due_at != was_due_at:
        write_run(run, steps, moves.final, now, writes, write=write, rest=rest)
    else:
        write(*writes)
    if first:
        transaction.on_commit(lambda: publish_steps(first))


def _updates(moves: Moves) -> Iterator[Update]:
    for step in moves.skipped:
        yield update_of(step, SKIPPED_FIELDS)
    for step in moves.opened:
        yield update_of(step, FIRST_ATTEMPT_FIELDS if step.attempt == 1 else ATTEMPT_FIELDS)
    for step in moves.refused:
        yield update_of(step, REFUSED_FIELDS)


def skip(steps: Sequence[Step], now: datetime) -> list[Update]:
    """Mark the steps SKIPPED; what writes that."""
    mark_skipped(steps, now)
    return [update_of(step, SKIPPED_FIELDS) for step in steps]


def write_run(
    run: Run,
    steps: Sequence[Step],
    final: RunState | None,
    now: datetime,
    writes: Sequence[Update],
    error: str = "",
    *,
    write: Write = apply,
    rest: Rest | None = None,
) -> None:
    """Write the run and its `TaskResult`, after what was to be written of its steps.

    Args:
        final: the state it ends in, None where it goes on.
        error: instead of that of its first failed step.
        rest: where `steps` are not all of the run's.
    """
    summary = None
    if rest is not None:
        write(*writes)
        writes, summary = (), read_summaries([run.pk])[run.pk]
    bring_up(run, steps, final, now, error, summary)
    *_, found = write(*writes, update_of(run, RUN_FIELDS), results.update_of(run, now))
    if not found and run.ended:
        # Celery's cleanup, or a client's `forget()`, took the row: the end must be readable.
        results.create(run, f"parent.{run.workflow}")
    tell_end(run)


def bring_up(
    run: Run,
    steps: Sequence[Step],
    final: RunState | None,
    now: datetime,
    error: str = "",
    summary: Summary | None = None,
) -> None:
    """Bring the run up to its steps, in memory; see `write_run`."""
    summary = summary or summarize(steps)
    run.version += 1
    run.mirrored_at = now
    run.started_at = run.started_at or summary.began
    run.state = run_state(RunState(run.state), summary)
    run.set_meta(run_meta(run.meta, summary, final))
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


def tell_end(run: Run) -> None:
    """Log that the run has ended, if it has."""
    if run.ended:
        with about(run):
            logger.info("%s[%s] ended: %s %s", run.workflow, run.pk, run.state, run.error or "")


def update_of(row: Run | Step, names: Sequence[str], **while_it_is: Any) -> Update:
    """What writes these columns of a row; where `while_it_is` is given it must still be so."""
    values = {name: getattr(row, name) for name in names}
    return update(type(row), values, required=bool(while_it_is), id=row.pk, **while_it_is)
