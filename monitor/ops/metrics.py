"""The figures of /metrics: the counts that the watch has stored, and the rows that are active now.

All of it is in the database, so every web process gives the same answer. A scrape takes a few
statements. Their cost depends on the active runs, not on all runs.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from django.db.models import Count, Min, QuerySet
from django.db.models.functions import Now
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from parent.messages.publish import queue_of
from parent.models import IS_ACTIVE, Item, Run, Step, StepState, Tally, WatchLease
from parent.notifications.outbox import oldest_age
from parent.runs.concurrency.runs_in_line import all_in_line
from parent.runs.concurrency.shared_limits import all_in_use, all_waiting, current_sizes
from parent.store import clock, leases
from parent.telemetry.metrics import KINDS, Figures, Kind, labels_of

__all__ = ["WorkflowCollector"]


class WorkflowCollector(Collector):
    """Reads the rows at each scrape."""

    def collect(self) -> Iterator[Metric]:
        row = Tally.objects.filter(pk=1).first()
        figures: Figures = row.figures if row is not None else {}
        for name, kind in KINDS.items():
            yield _kept(name, kind, figures.get(name, {}))
        yield _runs()
        yield from _queues()
        yield from _awaiting()
        yield from _limits()
        yield from _executors()
        yield _watch()
        yield _notifications()


def _kept(name: str, kind: Kind, figures: dict[str, list[float]]) -> Metric:
    # A metric without labels is shown from the first scrape on, so that a rate has a start value.
    if not kind.labels and not figures:
        figures = {"[]": [0.0] * kind.size}
    same = {key: figure for key, figure in figures.items() if len(figure) == kind.size}
    if not kind.bounds:
        counter = CounterMetricFamily(name, kind.about, labels=kind.labels)
        for key, (value,) in same.items():
            counter.add_metric(labels_of(key), value)
        return counter
    histogram = HistogramMetricFamily(name, kind.about, labels=kind.labels)
    for key, (total, *counts) in same.items():
        buckets = list(zip((*map(str, kind.bounds), "+Inf"), counts, strict=True))
        histogram.add_metric(labels_of(key), buckets, total)
    return histogram


def _runs() -> Metric:
    alive = Run.objects.filter(finished_at__isnull=True).order_by()
    return _gauge(
        "workflow_runs",
        "Runs that have not ended.",
        ("workflow", "state"),
        alive.values_list("workflow", "state").annotate(Count("pk")),
    )


def _queues() -> Iterator[Metric]:
    """Active steps and items, and how long the oldest in each queue has waited."""
    attempts = {"chunk": None, "nested": False, "awaits": ""}
    in_line = {"state": StepState.QUEUED, "publish_count": 0}  # for a limit; it has no message
    active = Step.objects.filter(IS_ACTIVE, **attempts).order_by()
    active = active.exclude(**in_line, limits__isnull=False)
    of_steps: QuerySet[Any, Any] = active.values_list("queue", "task", "state", Now())
    items = Item.objects.filter(IS_ACTIVE, step__nested=False).order_by()
    items = items.exclude(**in_line, step__limits__isnull=False)
    of_items: QuerySet[Any, Any] = items.values_list("step__queue", "step__task", "state", Now())
    rows = chain(*(found.annotate(Count("pk"), Min("queued_at")) for found in (of_steps, of_items)))
    steps: Counter[tuple[str, str]] = Counter()
    waits: dict[str, float] = {}
    for queue, task, state, now, number, first in rows:
        name = queue_of(Step(queue=queue, task=task))
        steps[name, state] += number
        # A retry that is not due yet has a `queued_at` in the future.
        if state == StepState.QUEUED and first is not None:
            waits[name] = max(waits.get(name, 0.0), (now - first).total_seconds())
    yield _gauge(
        "workflow_steps",
        "Steps, and items of mapped ones, that wait in a queue (QUEUED) or run.",
        ("queue", "state"),
        [(*key, number) for key, number in steps.items()],
    )
    yield _gauge(
        "workflow_queue_oldest_seconds",
        "For how long the first step in a queue has waited.",
        ("queue",),
        list(waits.items()),
    )


def _awaiting() -> Iterator[Metric]:
    """Steps that wait for a signal or an approval, and for how long the first has waited."""
    waits: QuerySet[Any, Any] = Step.objects.filter(state=StepState.RUNNING).exclude(awaits="")
    kinds = waits.order_by().values_list("run__workflow", "name", "awaits", Now())
    rows = list(kinds.annotate(Count("pk"), Min("queued_at")))
    yield _gauge(
        "workflow_awaiting",
        "Steps that wait for a signal or an approval.",
        ("workflow", "step", "awaits"),
        [(workflow, name, awaits, number) for workflow, name, awaits, _, number, _ in rows],
    )
    yield _gauge(
        "workflow_awaiting_oldest_seconds",
        "For how long the first of them has waited.",
        ("workflow", "step"),
        [
            (workflow, name, (now - first).total_seconds())
            for workflow, name, _, now, _, first in rows
            if first is not None
        ],
    )


def _limits() -> Iterator[Metric]:
    """How many hold a place of each limit, how many wait, and for how long."""
    sizes = current_sizes()
    used: dict[str, int] = {}
    rows: list[tuple[str, str, Any, Any, int]] = []
    if sizes:
        holding = all_in_use(sizes, clock.now()).values_list("name")
        used = dict(holding.annotate(Count("pk")))
        waits: QuerySet[Any, Any] = all_waiting().values_list("name", Now(), Min("since"))
        found = {row[0]: ("", *row) for row in waits.annotate(Count("pk"))}
        rows += ({name: ("", name, None, None, 0) for name in sizes} | found).values()
    of_runs: QuerySet[Any, Any] = all_in_line().values_list("workflow", Now(), Min("created_at"))
    rows += [(name, "", *others) for name, *others in of_runs.annotate(Count("pk"))]
    yield _gauge(
        "workflow_limit_used",
        "Attempts that hold a place of a limit; of a rate, those that began in its period.",
        ("limit",),
        [(name, used.get(name, 0)) for name in sizes],
    )
    yield _gauge(
        "workflow_in_line",
        "Attempts that wait for a place of a limit, and runs that wait for their turn.",
        ("workflow", "limit"),
        [(workflow, limit, number) for workflow, limit, *_, number in rows],
    )
    yield _gauge(
        "workflow_in_line_oldest_seconds",
        "For how long the first of them has waited.",
        ("workflow", "limit"),
        [
            (workflow, limit, (now - first).total_seconds())
            for workflow, limit, now, first, _ in rows
            if first is not None
        ],
    )


def _executors() -> Iterator[Metric]:
    consumed = list(leases.alive().values_list("queues", flat=True))
    yield _gauge("workflow_executors", "Workers that are alive.", (), [(len(consumed),)])
    queues = Counter(queue for queues in consumed for queue in queues)
    yield _gauge(
        "workflow_queue_executors",
        "Workers that are alive and consume a queue.",
        ("queue",),
        list(queues.items()),
    )


def _watch() -> Metric:
    """The time since the last tick began. A tick renews the lease."""
    row = WatchLease.objects.annotate(now=Now()).values_list("now", "expires_at").first()
    ages = [((row[0] - (row[1] - leases.WATCH_LEASE)).total_seconds(),)] if row else []
    return _gauge("workflow_watch_age_seconds", "Since the last tick of any worker.", (), ages)


def _notifications() -> Metric:
    return _gauge(
        "workflow_notifications_oldest_seconds",
        "Since the oldest notification that waits was written; 0 if none waits.",
        (),
        [(oldest_age(),)],
    )


def _gauge(name: str, about: str, labels: Sequence[str], rows: Iterable[Any]) -> Metric:
    gauge = GaugeMetricFamily(name, about, labels=labels)
    for *values, number in rows:
        gauge.add_metric(list(map(str, values)), float(number))
    return gauge
