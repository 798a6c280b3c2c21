"""What people see of a schedule: its next times, its last run, and why one was left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, Subquery

from parent.models import Firing, FiringState, Schedule
from parent.schedules.rows import times_after

__all__ = ["Outlook", "next_times", "outlooks"]

NEXT = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """A schedule with what comes and what was.

    `last`: the latest firing that started a run. `left_out`: the latest one that did not, where it
    is later than that.
    """

    schedule: Schedule
    next_times: Sequence[datetime]
    last: Firing | None
    left_out: Firing | None


def next_times(row: Schedule, now: datetime, number: int = NEXT) -> list[datetime]:
    """The next nominal times, in UTC; none of a schedule that is paused or gone."""
    if row.paused_at is not None or row.removed_at is not None or row.next_at is None:
        return []
    ahead = times_after(row, max(now, row.next_at), number)
    # The row's own time first: after a clock was set back, earlier ones are over.
    first = [row.next_at] if row.next_at > now else []
    return [*first, *ahead][:number]


def outlooks(rows: Sequence[Schedule], now: datetime) -> list[Outlook]:
    """An outlook for each, with two statements for any number."""
    started = _latest(rows, [FiringState.STARTED])
    left_out = _latest(rows, [FiringState.SKIPPED, FiringState.REFUSED, FiringState.WAITING])
    found = []
    for row in rows:
        last, other = started.get(row.pk), left_out.get(row.pk)
        if last is not None and other is not None and other.nominal_at < last.nominal_at:
            other = None
        times = next_times(row, now)
        found.append(Outlook(schedule=row, next_times=times, last=last, left_out=other))
    return found


def _latest(rows: Sequence[Schedule], states: Sequence[str]) -> dict[int, Firing]:
    """The latest firing of each schedule in one of these states."""
    of_one = Firing.objects.filter(schedule=OuterRef("pk"), state__in=states)
    newest = of_one.order_by("-nominal_at").values("pk")[:1]
    ids = Schedule.objects.filter(pk__in=[row.pk for row in rows]).order_by()
    wanted = ids.annotate(newest=Subquery(newest)).values("newest")
    return {each.schedule_id: each for each in Firing.objects.filter(pk__in=wanted)}
