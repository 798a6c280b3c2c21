"""Workers, queues and lines, as the page for who is on call shows them: read from the rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Min, QuerySet, Window
from django.db.models.functions import RowNumber

from parent.messages.publish import queue_of
from parent.models import IS_ACTIVE, Executor, Item, Step, StepState, WatchLease
from parent.runs.concurrency.who_waits import Line, lines
from parent.store import leases

__all__ = ["Fleet", "Queue", "Worker", "fleet"]

MOST_OF_A_WORKER = 20
"""Children of one worker that are named; of the others there is the number."""
MOST_LINES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """A worker and what it runs, the longest first.

    `late`: its lease has lapsed, and others take what it ran. `watches`: it ticks for all.
    """

    executor: Executor
    running: Sequence[Step | Item]
    more: int
    late: bool
    watches: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """A queue in which children wait, or that a worker consumes; `workers` are alive."""

    name: str
    waiting: int
    since: datetime | None
    workers: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """All of it, with the same few statements for any number of workers and runs."""

    workers: Sequence[Worker]
    queues: Sequence[Queue]
    lines: Sequence[Line]

    @property
    def shown(self) -> object:
        """What the page shows, the times that pass apart."""
        return (
            [
                (str(w.executor), w.late, w.watches, w.more, [str(row.pk) for row in w.running])
                for w in self.workers
            ],
            self.queues,
            self.lines,
        )


def fleet(now: datetime) -> Fleet:
    """Read what the page of workers shows.

    Args:
        now: the database's time.
    """
    alive = {executor.pk: executor for executor in leases.alive()}
    with_work = {"state": StepState.RUNNING, "executor__isnull": False}
    holds = {*Step.objects.filter(**with_work).values_list("executor", flat=True)}
    holds |= {*Item.objects.filter(**with_work).values_list("executor", flat=True)}
    late = Executor.objects.in_bulk(holds - alive.keys())
    watcher = WatchLease.objects.filter(expires_at__gte=now).values_list("holder", flat=True)
    holder = watcher.first()
    found = sorted(chain(alive.values(), late.values()), key=lambda each: (each.host, each.pid))
    running = _running([executor.pk for executor in found])
    return Fleet(
        workers=[
            _worker(each, running[each.pk], late=each.pk in late, watches=each.pk == holder)
            for each in found
        ],
        queues=_queues(alive.values()),
        lines=lines(now, at_most=MOST_LINES),
    )


def _running(ids: Sequence[UUID]) -> dict[UUID, list[Any]]:
    """What these executors run: of each the first steps and items, with their number as `number`.

    One statement for the steps, and one for the items.
    """
    steps = Step.objects.select_related("run").only(
        "executor_id", "name", "started_at", "run__workflow"
    )
    items = Item.objects.select_related("step__run").only(
        "executor_id", "key", "started_at", "step__name", "step__run__workflow"
    )
    found: dict[UUID, list[Any]] = {executor: [] for executor in ids}
    for rows in (steps, items):
        each = F("executor")
        running = rows.filter(IS_ACTIVE, executor__in=ids, state=StepState.RUNNING)
        numbered: QuerySet[Any] = running.annotate(
            place=Window(RowNumber(), partition_by=[each], order_by=F("started_at").asc()),
            number=Window(Count("pk"), partition_by=[each]),
        )
        for row in numbered.filter(place__lte=MOST_OF_A_WORKER).order_by():
            found[row.executor_id].append(row)
    return found


def _worker(executor: Executor, running: list[Any], *, late: bool, watches: bool) -> Worker:
    number = sum({type(row): row.number for row in running}.values())
    running.sort(key=lambda row: row.started_at or executor.started_at)
    shown = running[:MOST_OF_A_WORKER]
    return Worker(
        executor=executor, running=shown, more=number - len(shown), late=late, watches=watches
    )


def _queues(alive: Iterable[Executor]) -> list[Queue]:
    consumers: dict[str, int] = {}
    for executor in alive:
        for name in executor.queues:
            consumers[name] = consumers.get(name, 0) + 1
    waiting: dict[str, tuple[int, datetime | None]] = dict.fromkeys(consumers, (0, None))
    of = {"state": StepState.QUEUED, "publish_count__gt": 0}
    for rows in (
        Step.objects.filter(**of).order_by().values_list("queue", "task"),
        Item.objects.filter(**of).order_by().values_list("step__queue", "step__task"),
    ):
        for queue, task, count, first in rows.annotate(Count("pk"), Min("queued_at")):
            name = queue_of(Step(queue=queue, task=task))
            number, since = waiting.get(name, (0, None))
            waiting[name] = (number + count, min(filter(None, (since, first)), default=None))
    return [
        Queue(name=name, waiting=number, since=since, workers=consumers.get(name, 0))
        for name, (number, since) in sorted(waiting.items())
    ]
