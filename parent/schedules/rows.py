"""The rows of schedules: which are due, and when one comes next."""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice, takewhile
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from children.sanitize import storable
from parent.models import Firing, FiringState, Run, Schedule, SkipReason
from parent.schedules.calendar import NoTimes, Occurrence, Timing, nominal_times, occurrences

__all__ = [
    "active_firings",
    "come_after",
    "come_next",
    "due",
    "due_ids",
    "find",
    "leave_out",
    "lock",
    "skip_waiting",
    "times_after",
    "timing_of",
    "waiting_firings",
]

MOST_COUNTED = 1_000


def due_ids(workflows: Iterable[str], *, at_most: int, now: datetime | None = None) -> list[int]:
    """The schedules of these workflows that a tick must look at, in one statement by indexes."""
    found = due(workflows, now).order_by("due_at")
    return list(dict.fromkeys(pk for pk, _ in found[:at_most]))


def due(workflows: Iterable[str], now: datetime | None = None) -> "QuerySet[Any, Any]":
    """Ids and times of the schedules of these workflows whose start has come, or which have a
    start that waited for the end of a run and need not wait any longer.
    """
    names = list(workflows)
    # First by the time: many schedules may be of few workflows.
    come = Schedule.objects.filter(due_at__lte=now or Now()).order_by().values("pk")
    by_time = Schedule.objects.filter(workflow__in=names, pk__in=come)
    active = active_firings().filter(schedule=OuterRef("schedule"))
    # No join: few firings wait, and the planner would rather read all schedules first.
    known = Schedule.objects.filter(pk=OuterRef("schedule"), workflow__in=names)
    waiting = Firing.objects.filter(Exists(known), state=FiringState.WAITING)
    by_end: QuerySet[Any, Any] = waiting.filter(~Exists(active)).order_by()
    found = by_time.order_by().values_list("pk", "due_at")
    return found.union(by_end.values_list("schedule", "nominal_at"))


def active_firings() -> "QuerySet[Firing]":
    """Those whose run has not ended."""
    alive = Run.objects.filter(finished_at__isnull=True)
    return Firing.objects.filter(state=FiringState.STARTED, run__in=alive)


def waiting_firings(schedule: Schedule) -> "QuerySet[Firing]":
    """Those that wait for the end of a run, the first first."""
    rows = Firing.objects.filter(schedule=schedule, state=FiringState.WAITING)
    return rows.order_by("nominal_at")


def lock(pk: int) -> Schedule | None:
    """The row, locked by the caller's transaction; None where there is none."""
    return Schedule.objects.select_for_update().filter(pk=pk).first()


def find(workflow: str, name: str) -> Schedule | None:
    """The schedule of that workflow with that name."""
    return Schedule.objects.filter(workflow=storable(workflow), name=storable(name)).first()


def timing_of(row: Schedule) -> Timing:
    """When the schedule comes."""
    return Timing(
        cron=row.cron,
        every=row.every,
        timezone=row.timezone,
        jitter=row.jitter,
        key=str(row),
    )


def times_after(row: Schedule, moment: datetime, number: int) -> list[datetime]:
    """The first nominal times later than this; none where they cannot be computed any more."""
    try:
        return list(islice(nominal_times(timing_of(row), moment), number))
    except NoTimes:
        return []


def come_next(row: Schedule, following: Occurrence | None) -> None:
    """Set, in memory, when the schedule comes next. One that is off has no `due_at`."""
    off = row.paused_at is not None or row.removed_at is not None
    row.next_at = following.nominal if following else None
    row.due_at = following.start if following and not off else None
    row.problem = "" if following else "It never comes again."


def come_after(row: Schedule, moment: datetime) -> None:
    """Set, in memory, that it comes next after this moment, or why nobody can say when."""
    try:
        come_next(row, next(occurrences(timing_of(row), moment), None))
    except NoTimes as exc:
        come_next(row, None)
        row.problem = str(exc)


def leave_out(row: Schedule, reason: SkipReason, detail: str, now: datetime) -> None:
    """Go on after `now`, in memory, and store that the times until then started nothing."""
    if row.next_at is not None and row.next_at <= now:
        passed = _passed(row, row.next_at, now)
        many = len(passed) > MOST_COUNTED
        Firing.objects.get_or_create(
            schedule=row,
            nominal_at=row.next_at,
            defaults={
                "until": now if many else passed[-1] if len(passed) > 1 else None,
                "count": None if many else len(passed),
                "state": FiringState.SKIPPED,
                "reason": reason,
                "detail": detail,
            },
        )
    come_after(row, now)


def _passed(row: Schedule, first: datetime, now: datetime) -> list[datetime]:
    """The times that came from the first one to now, or one more than are counted; only the first
    where nobody can compute them.
    """
    try:
        times = takewhile(lambda time: time <= now, nominal_times(timing_of(row), first))
        return [first, *islice(times, MOST_COUNTED)]
    except NoTimes:
        return [first]


def skip_waiting(row: Schedule, reason: SkipReason, detail: str) -> int:
    """Give up the starts that wait; returns how many."""
    return waiting_firings(row).update(state=FiringState.SKIPPED, reason=reason, detail=detail)
