"""A run's way from one step to the next. Whoever moves a run on holds a lock on its row."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from celery.utils.log import get_logger
from django.db import transaction

from children.meta import error_text
from parent.decisions.plan import NOTHING, Summary, plan, run_meta, run_state, summarize
from parent.messages.publish import first_to_publish, publish_steps, republish_after
from parent.models import Run, RunState, Step
from parent.models.fields import META_COLUMNS
from parent.runs.opening import is_known, run_result
from parent.runs.transitions import Moves, move
from parent.store import results
from parent.store.run_rows import Rest, lock_run
from parent.store.run_summaries import read_summaries
from parent.store.writes import write
from parent.telemetry.log_context import about

__all__ = ["advance", "bring_up", "go_on", "log_end", "write_run"]

logger = get_logger(__name__)

FIRST_ATTEMPT = ("state", "attempt", "task_id", "kwargs", "publish_count", "due_at", "queued_at")
"""The columns that opening a step writes: one that has waited until now has no others yet."""

ATTEMPT = (
    *FIRST_ATTEMPT,
    *(
        "retries_used",
        "claim",
        "executor_id",
        "started_at",
        "reported_at",
        "finished_at",
        "traceback",
    ),
    *META_COLUMNS,
)
"""The columns of a step's present attempt."""

SKIPPED = ("state", "finished_at")
REFUSED = ("state", "finished_at", "traceback", *META_COLUMNS)
RUN = (
    *("state", "version", "started_at", "finished_at", "mirrored_at", "due_at"),
    *META_COLUMNS,
)


def go_on(run_id: Any) -> bool:
    """Do what follows in a run, if anything does; False where it does not, or the run is gone.

    A run goes on by itself, from one end to the next. This is for one that waits because a
    process with another version of the code did not know its steps.
    """
    with transaction.atomic():
        locked = lock_run(run_id)
        if locked is None or locked.run.ended or plan(locked.steps) == NOTHING:
            return False
        advance(locked.run, locked.steps, locked.now)
    return True


def advance(
    run: Run,
    steps: Sequence[Step],
    now: datetime,
    *,
    mirror: bool = True,
    rest: Rest | None = None,
) -> None:
    """Do what follows from where the steps of a locked run are, until nothing more follows.

    Args:
        mirror: False leaves the run's own row and its `TaskResult` to a tick, where a step opens:
            the claim of that step has a tick look at the run within a second.
        rest: where `steps` are not all of the run's: see `lock_for_end`.
    """
    was_due_at = run.due_at
    moves = move(run, steps, now, known=is_known(run, steps), rest=rest)
    goes_on = rest is None or rest.active or any(step.state in Step.ACTIVE for step in steps)
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
    _write_moves(moves)
    if mirror or not moves.opened or moves.final is not None or run.due_at != was_due_at:
        write_run(run, steps, moves.final, now, rest=rest)
    if first:
        transaction.on_commit(lambda: publish_steps(first))


def _write_moves(moves: Moves) -> None:
    write(moves.skipped, SKIPPED)
    write([step for step in moves.opened if step.attempt == 1], FIRST_ATTEMPT)
    write([step for step in moves.opened if step.attempt > 1], ATTEMPT)
    write(moves.refused, REFUSED)


def write_run(
    run: Run,
    steps: Sequence[Step],
    final: RunState | None,
    now: datetime,
    error: str = "",
    *,
    rest: Rest | None = None,
) -> None:
    """Write the run and its `TaskResult`. Its steps are written already.

    Args:
        final: the state it ends in, None where it goes on.
        error: instead of that of its first failed step.
        rest: where `steps` are not all of the run's.
    """
    summary = read_summaries([run.pk])[run.pk] if rest is not None else None
    bring_up(run, steps, final, now, error, summary)
    run.save(update_fields=RUN)
    if not results.update(run, now) and run.ended:
        # Celery's cleanup, or a client's `forget()`, took the row: the end must be readable.
        results.create(run, f"parent.{run.workflow}")
    log_end(run)


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


def log_end(run: Run) -> None:
    """Log that the run has ended, if it has."""
    if run.ended:
        with about(run):
            logger.info("%s[%s] ended: %s %s", run.workflow, run.pk, run.state, run.error or "")
