"""Add the figures in memory to the row that /metrics reads.

This costs no child and no tick: every few seconds the watch thread adds its figures, and those of
the runs that ended meanwhile.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef

from parent.models import Event, Run, Step, Tally
from parent.store import clock
from parent.telemetry.metrics import Metrics, metrics

__all__ = ["FLUSH_INTERVAL", "flush_metrics"]

FLUSH_INTERVAL = 5.0
"""Seconds between two updates of the row."""
SETTLED = timedelta(seconds=2)
"""A run's end is stamped before its commit. One that commits later than this is not counted."""


def flush_metrics(*, ended: bool) -> None:
    """Add this process's figures to the row.

    Args:
        ended: also count runs that started and ended. Only the holder of the watch does.
    """
    figures = metrics.take()
    if not (ended or figures):
        return
    try:
        with transaction.atomic():
            Tally.objects.get_or_create(pk=1)
            row = Tally.objects.select_for_update().get(pk=1)
            total = Metrics()
            total.add(row.figures)
            total.add(figures)
            if ended:
                until = clock.now() - SETTLED
                # The first time there is no start time: older runs are not counted.
                since = row.counted_until or until
                if since < until:
                    _count_runs(total, since, until)
                row.counted_until = max(since, until)
            row.figures = total.take()
            row.save()
    except BaseException:
        metrics.add(figures)
        raise


def _count_runs(total: Metrics, since: datetime, until: datetime) -> None:
    """Count the runs that started or ended in that time (by indexed columns)."""
    started = Run.objects.filter(created_at__gt=since, created_at__lte=until).order_by()
    for workflow, number in started.values_list("workflow").annotate(Count("pk")):
        total.count("workflow_runs_started", workflow, by=number)
    ended = {"finished_at__gt": since, "finished_at__lte": until}
    runs = Run.objects.filter(**ended).order_by()
    for workflow, state, number in runs.values_list("workflow", "state").annotate(Count("pk")):
        total.count("workflow_runs_ended", workflow, state, by=number)
    for step in _steps_of(ended):
        _count_step(total, *step)


def _steps_of(ended: dict[str, Any]) -> Any:
    """The steps of these runs, without those that a retry kept: they were counted before."""
    kept = Event.objects.filter(run=OuterRef("run"), what="retry", at__gte=OuterRef("finished_at"))
    steps = Step.objects.filter(
        **{f"run__{name}": value for name, value in ended.items()}, started_at__isnull=False
    )
    columns = ("run__workflow", "name", "state", "queued_at", "started_at", "finished_at")
    return steps.exclude(Exists(kept)).order_by().values_list(*columns).iterator()


def _count_step(
    total: Metrics,
    workflow: str,
    name: str,
    state: str,
    queued_at: datetime | None,
    started_at: datetime,
    finished_at: datetime | None,
) -> None:
    if queued_at is not None:
        waited = (started_at - queued_at).total_seconds()
        total.observe("workflow_step_queue_seconds", waited, workflow, name)
    if finished_at is not None:
        took = (finished_at - started_at).total_seconds()
        total.observe("workflow_step_seconds", took, workflow, name, state)
