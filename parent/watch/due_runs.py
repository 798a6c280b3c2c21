"""The runs at which a tick must look: past their deadline, cancelled with nothing left that runs,
waiting for a worker that knows their steps, and child runs whose end has not come up.
"""

from functools import partial

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Now

from parent.decisions.overdue import overdue
from parent.messages.terminate import terminate
from parent.models import Event, Run, Step, StepState
from parent.runs.cancel import end_if_nothing_runs
from parent.runs.endings import end_run
from parent.runs.nested.tree import with_inner_runs
from parent.store.locks import LockedRuns
from parent.telemetry.task_failure import send_task_failure
from parent.watch.outcomes import bring_up_due
from parent.watch.queries import DUE_BATCH, active_items, active_steps, due_runs
from parent.watch.republish import republish_runs

__all__ = ["check_due_runs"]

# Subqueries: over joins SQLite would read all runs, in the order by which it would group them.
ENDED_AT = Subquery(
    Step.objects.filter(run=OuterRef("pk"), finished_at__isnull=False)
    .order_by("-finished_at")
    .values("finished_at")[:1]
)
RETRIED_AT = Subquery(
    Event.objects.filter(run=OuterRef("pk"), what="retry").order_by("-at").values("at")[:1]
)


def check_due_runs(locked_runs: LockedRuns) -> None:
    """Look at the runs that are due, except those that somebody else has locked."""
    due = due_runs().exclude(pk__in=locked_runs.runs())
    due = due.defer("files", "result").annotate(
        db_now=Now(), ended_at=ENDED_AT, retried_at=RETRIED_AT
    )
    to_republish: list[Run] = []
    for run in due.order_by("due_at")[:DUE_BATCH]:
        if run.ended and run.is_child:
            locked_runs.skip_if_locked(partial(bring_up_due, run), run.parent_run_id)
            continue
        error = overdue(run, run.db_now, ended_at=run.ended_at, retried_at=run.retried_at)
        if error is None and run.cancel_requested_at is not None:
            locked_runs.skip_if_locked(partial(end_if_nothing_runs, run.pk), run.pk)
            continue
        if error is None:
            to_republish.append(run)
            continue
        locked_runs.skip_if_locked(partial(_end_run, run, error), run.pk)
    if to_republish:
        republish_runs(to_republish)


def _end_run(run: Run, error: str) -> None:
    runs = with_inner_runs(run.pk)
    running = [
        *active_steps().filter(run__in=runs, state=StepState.RUNNING, nested=False),
        *active_items().filter(step__run__in=runs, state=StepState.RUNNING, step__nested=False),
    ]
    if end_run(run.pk, error, expected_version=run.version):
        send_task_failure(run, error)
        for step in running:
            terminate(step)
