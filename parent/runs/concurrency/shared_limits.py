"""Limits that steps share: attempts stand in line for places, and the first begin.

An attempt that opens is QUEUED without a message, and has a `Place` row in the line of each of its
limits. It gets its places, and its message, in a transaction of its own: after the commit that
opened it, after the commit that ended another one, or in a tick. Only that transaction takes the
lock of the lines, and it waits for no row, so nobody who ends or opens a step waits for it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from celery.utils.log import get_logger
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from parent.conf import limit_sizes
from parent.decisions.limit_sizes import Size, first_to_begin, parse_size
from parent.messages.publish import AT_ONCE, publish_steps, republish_after
from parent.models import Item, Place, Run, Step, StepState
from parent.runs.concurrency import runs_in_line, shared_limits_sql
from parent.store import clock
from parent.store.kept_sql import select
from parent.store.outage import OUTAGE
from parent.store.run_rows import LARGE_OF_RUN
from parent.store.writes.update import write

__all__ = [
    "all_in_use",
    "all_waiting",
    "begin_next_after_commit",
    "current_sizes",
    "enter",
    "fill",
    "fill_all",
    "in_use",
    "resume",
    "waiting",
]

logger = get_logger(__name__)

BEGIN_COLUMNS = ("queued_at", "publish_count", "due_at")
LARGE_OF_ITEM = (
    *("traceback", "result", "checkpoint", "step__result", "step__checkpoint"),
    *("step__run__params", "step__run__files", "step__run__result"),
)


def enter(rows: Iterable[Step | Item]) -> None:
    """Put those of these attempts that have limits in line, in the caller's transaction.

    After the commit the first in line begin. An attempt that waits for the delay of a retry enters
    later: a tick puts it in line, by `resume`.
    """
    new = [row for row in rows if row.is_in_line and row.due_at is None]
    if new:
        _insert(new)
        begin_next_after_commit({name for row in new for name in row.limits or ()})


def _insert(rows: Iterable[Step | Item]) -> None:
    Place.objects.bulk_create(
        [
            Place(
                name=name,
                task_id=row.task_id or "",
                run_id=row.run_id,
                step=row.name,
                since=row.queued_at or Now(),
            )
            for row in rows
            for name in row.limits or ()
        ],
        ignore_conflicts=True,
    )


def begin_next_after_commit(names: Iterable[str] | None) -> None:
    """Let the next attempts in line for these limits begin when the transaction commits."""
    if names := sorted({*(names or ())}):
        transaction.on_commit(partial(_begin_next, names))


def _begin_next(names: Collection[str]) -> None:
    try:
        fill(names)
    except OUTAGE as exc:
        logger.warning("limits %s: %s; a tick lets the next begin", ", ".join(names), exc)


def resume(rows: Sequence[Step | Item]) -> None:
    """Go on with these due attempts in line: their delay is over, or a rate allows another."""
    model: type[Step | Item] = type(rows[0])
    due: QuerySet[Any] = model._default_manager.filter(task_id__in=[row.task_id for row in rows])
    due = due.filter(state=StepState.QUEUED, publish_count=0)
    with transaction.atomic():
        _insert(rows)
        due.update(due_at=None)
    try:
        fill({name for row in rows for name in row.limits or ()})
    except OUTAGE:
        due.update(due_at=clock.now())
        raise


def fill_all() -> None:
    """Let the first in each line begin, and delete the rows of attempts that are over.

    For a tick: a process may have died between a commit and what comes after it.
    """
    names = list(Place.objects.order_by().values_list("name", flat=True).distinct())
    if not names:
        return
    with transaction.atomic():
        _lock()
        Place.objects.filter(~_active(), taken_at=None).delete()
        sizes, now = current_sizes(names), clock.now()
        for name in names:
            shared_limits_sql.delete_over(name, sizes.get(name), now)
    fill(names)


def fill(names: Iterable[str]) -> int:
    """Let the first in the lines of these limits begin; returns how many.

    At most `AT_ONCE`: a tick goes on. An attempt that another transaction has locked is passed
    over: it is being cancelled.
    """
    names = sorted({*names})
    if not shared_limits_sql.anyone_waits(names):
        return 0
    with transaction.atomic():
        _lock()
        now = clock.now()
        waiting_lines = _Lines(now)
        first = waiting_lines.first(names)
        begun = _begin(first[:AT_ONCE], now)
        waiting_lines.wake(names, more=len(first) > AT_ONCE)
        transaction.on_commit(partial(publish_steps, begun))
    return len(begun)


def _lock() -> None:
    runs_in_line.lock("", "limits")  # no workflow has this name


class _Lines:
    """The lines of limits, while the lock is held.

    Args:
        now: the database's time.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._sizes: dict[str, Size] = {}
        self._lines: dict[str, Mapping[str, Collection[str]]] = {}

    def first(self, names: Collection[str]) -> list[str]:
        """Those that begin now, in order."""
        self._read(names)
        names_of = {each: own for name in names for each, own in self._lines[name].items()}
        others = {each for found in names_of.values() for each in found} - self._lines.keys()
        if others:
            self._read(others)
        first = {name: list(line) for name, line in self._lines.items()}
        return first_to_begin(names_of, names_of, first)

    def _read(self, names: Collection[str]) -> None:
        self._sizes |= current_sizes(names)
        for name in names:
            shared_limits_sql.delete_over(name, self._sizes.get(name), self._now)
            self._lines[name] = shared_limits_sql.first_in_line(name, self._free(name))

    def _free(self, name: str) -> int:
        """How many may begin; 0 if the limit has no size here: another process may have it."""
        size = self._sizes.get(name)
        if size is None:
            return 0
        return min(AT_ONCE + 1, max(0, size.count - shared_limits_sql.count_taken(name)))

    def wake(self, names: Collection[str], *, more: bool) -> None:
        """Have a tick look at the first in line when another may begin although none ends.

        Args:
            more: more could begin now.
        """
        for name in names:
            size = self._sizes.get(name)
            at = self._now if more else self._next_begin(name, size)
            if at is None:
                continue
            head = _in_line(name).values_list("task_id", flat=True).first()
            for model in (Step, Item):
                rows: QuerySet[Any] = model._default_manager.filter(task_id=head)
                free = rows.filter(Q(due_at=None) | Q(due_at__gt=at), state=StepState.QUEUED)
                free = free.select_for_update(skip_locked=True, of=("self",))
                rows.filter(pk__in=list(free.values_list("pk", flat=True))).update(due_at=at)

    def _next_begin(self, name: str, size: Size | None) -> datetime | None:
        """When a rate allows another one to begin."""
        if size is None or not size.period or not size.count:
            return None
        taken = Place.objects.filter(name=name, taken_at__isnull=False).order_by("-taken_at")
        times = taken.values_list("taken_at", flat=True)[size.count - 1 : size.count]
        return next((at + timedelta(seconds=size.period) for at in times if at), None)


def _begin(task_ids: Sequence[str], now: datetime) -> list[Step | Item]:
    """Give these attempts their places, and count the message that the caller sends."""
    found: dict[str, Step | Item] = {str(step.task_id): step for step in _steps(task_ids)}
    if left := [each for each in task_ids if each not in found]:
        rows = Item.objects.filter(task_id__in=left, state=StepState.QUEUED, publish_count=0)
        rows = rows.select_related("step__run").defer(*LARGE_OF_ITEM)
        items = rows.select_for_update(skip_locked=True, of=("self",))
        found |= {str(item.task_id): item for item in items}
    for row in found.values():
        patience = timedelta(seconds=row.queue_timeout) if row.queue_timeout else timedelta.max
        row.queued_at, row.publish_count = now, 1
        row.due_at = now + min(republish_after(0), patience)
    for model in (Step, Item):
        write([row for row in found.values() if isinstance(row, model)], BEGIN_COLUMNS)
    shared_limits_sql.take(found, now)
    return [found[each] for each in task_ids if each in found]


def _steps(task_ids: Sequence[str]) -> list[Step]:
    """Those of these attempts that are of steps, in line and not locked; with their runs.

    With kept SQL: every attempt with limits comes this way.
    """
    if not task_ids:
        return []
    where = (
        f"task_id IN ({shared_limits_sql.marks(task_ids)}) AND state = 'QUEUED' AND publishes = 0"
    )
    large = ("result", "checkpoint", "traceback")
    steps: list[Step] = select(Step, where, task_ids, without=large, lock=True, skip_locked=True)
    keys = {step.run_id: Run._meta.pk.get_db_prep_value(step.run_id, connection) for step in steps}
    if keys:
        where = f"id IN ({shared_limits_sql.marks(keys)})"
        runs = {run.pk: run for run in select(Run, where, [*keys.values()], without=LARGE_OF_RUN)}
        for step in steps:
            step.run = runs[step.run_id]
    return steps


def current_sizes(names: Collection[str] | None = None) -> dict[str, Size]:
    """The sizes of these limits, or of all; staff's come before the setting's.

    A row that cannot be read, which somebody wrote past the form, counts as none.
    """
    given: dict[str, Any] = dict(limit_sizes())
    if not given:
        return {}
    wanted = given.keys() if names is None else {*names} & given.keys()
    sizes = {name: parse_size(given[name]) for name in wanted}
    for name, text in shared_limits_sql.sizes_by_staff(wanted).items():
        with suppress(ValueError):
            sizes[name] = parse_size(text)
    return sizes


def in_use(name: str, size: Size | None, now: datetime) -> "QuerySet[Place]":
    """The rows that hold a place of this limit, or have begun in the period of a rate."""
    taken = Place.objects.filter(name=name, taken_at__isnull=False)
    if size is not None and size.period:
        taken = taken.filter(taken_at__gt=now - timedelta(seconds=size.period))
    else:
        taken = taken.filter(_active())
    return taken.order_by("taken_at", "pk")


def all_in_use(sizes: Mapping[str, Size], now: datetime) -> "QuerySet[Place]":
    """As `in_use`, of all these limits, in no order."""
    rates = {name: size.period for name, size in sizes.items() if size.period}
    counts = Q(_active(), ~Q(name__in=list(rates)))
    for name, period in rates.items():
        counts |= Q(name=name, taken_at__gt=now - timedelta(seconds=period))
    return Place.objects.filter(counts, taken_at__isnull=False).order_by()


def all_waiting() -> "QuerySet[Place]":
    """The rows that wait for a place of any limit, in no order."""
    return Place.objects.filter(_active(StepState.QUEUED), taken_at=None).order_by()


def waiting(name: str) -> "QuerySet[Place]":
    """The rows that wait for a place of this limit, the first first."""
    return _in_line(name)


def _in_line(name: str) -> "QuerySet[Place]":
    return all_waiting().filter(name=name).order_by("since", "pk")


def _active(*states: str) -> Q:
    """The condition that the attempt of a place has not ended, or has one of these states."""
    mine = {"task_id": OuterRef("task_id"), "state__in": states or Step.ACTIVE}
    return Q(Exists(Step.objects.filter(**mine))) | Q(Exists(Item.objects.filter(**mine)))
