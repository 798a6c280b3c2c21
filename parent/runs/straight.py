"""How short attempts end: of a child that has reported nothing, in a run that has one step active.

`endings` locks the run, reads it, writes, and commits. Where one step is active nobody but its own
child moves the run on, a cancel or a limit apart, so here the run is read without a lock, and what
follows is written by one statement that takes the lock and does nothing where the run is not as
it was read. Of PostgreSQL that takes half as much: SQLite, with one writer, locks at once.
"""

from functools import cache, partial

from children.meta import Meta
from parent.models import Run, Step
from parent.runs.advance import advance
from parent.runs.endings import end_step
from parent.store import clock
from parent.store.large_results import largest_inline, result_sql, size_sql
from parent.store.prepared import database, fetch
from parent.store.rows import Overtaken, apply_if
from parent.store.run_steps import FEW
from parent.store.tables import META, Table

__all__ = ["end_straight"]

RUNS = Table(
    Run,
    *("id", "workflow", "params", "state", "version", "due_at", "deadline_at", "trace"),
    *("cancel_requested_at", "created_at", "started_at", "mirrored_at", "finished_at"),
    *META,
)
STEPS = Table(
    Step,
    *("id", "run_id", "index", "name", "task", "priority", "queue", "after", "weight", "state"),
    *("queue_timeout", "run_timeout", "stall_timeout", "poll_interval", "attempt", "task_id"),
    *("retried", "claim", "executor_id", "given", "publishes", "due_at", "traceback"),
    *("queued_at", "started_at", "reported_at", "finished_at"),
    *META,
)
# A cancel, a tick and a deadline leave one of these changed. An end that opens the next step does
# not: it is the only active step's own, and the first update finds it ended. A `TaskResult` that
# is gone takes more than one statement to bring back.
AS_IT_WAS = (
    "SELECT 1 FROM parent_run WHERE id = %s AND version = %s AND cancel_requested_at IS NULL "
    "AND EXISTS (SELECT FROM django_celery_results_taskresult WHERE task_id = %s) FOR UPDATE"
)


def end_straight(task_id: str, outcome: Meta) -> bool:
    """Record the OK outcome of a child that has no `TaskResult`, and go on with its run.

    Returns:
        False where this is not the way to do it. Nothing has changed then.
    """
    if database().vendor != "postgresql":
        return False
    rows = fetch(_read_sql(largest_inline()), [task_id])
    if not 0 < len(rows) <= FEW:
        return False
    run, now = RUNS.row(rows[0][: len(RUNS)]), rows[0][len(RUNS)]
    steps = [STEPS.row(row[len(RUNS) + 1 :]) for row in rows]
    active = [step for step in steps if step.state in Step.ACTIVE]
    if run.ended or run.cancel_requested_at is not None or len(active) != 1:
        return False
    (step,) = active
    if step.task_id != task_id or step.publishes > 1:
        return False
    for each in steps:
        each.run = run
    guard = (AS_IT_WAS, (run.pk, run.version, str(run.pk)))
    try:
        change = end_step(step, outcome, "", now)
        advance(run, steps, now, [change], tell=False, write=partial(apply_if, guard))
    except Overtaken:
        return False
    return True


@cache
def _read_sql(limit: int) -> str:
    # The run's own columns once: its parameters may be large.
    once = {
        name: f'CASE WHEN parent_step."index" = 0 THEN parent_run."{name}" END'
        for name in RUNS.names
    }
    small = {
        "result": result_sql("parent_step", limit),
        "result_size": size_sql("parent_step"),
    }
    return (
        f"SELECT {RUNS.sql(**once)}, {clock.sql()}, {STEPS.sql(**small)} "  # noqa: S608 - our names
        "FROM parent_step AS own JOIN parent_run ON parent_run.id = own.run_id "
        "JOIN parent_step ON parent_step.run_id = parent_run.id "
        f'WHERE own.task_id = %s ORDER BY parent_step."index" LIMIT {FEW + 1}'
    )
