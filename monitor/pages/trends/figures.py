"""The figures of a workflow's latest runs, by day or by shorter times. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple

from parent.models import RunState

__all__ = ["Figures", "RunTimes", "Trend", "trend_of"]

LENGTHS = [
    *(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 20)),
    *(timedelta(hours=hours) for hours in (1, 2, 4, 8)),
    timedelta(days=1),
]
"""How long each time of a trend may be, the shortest first."""
MOST_TIMES = 31


class RunTimes(NamedTuple):
    """What is read of a run."""

    state: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The runs that were made within some time.

    Args:
        at: when that time begins.
        seconds: how long those that are done took, the shortest first.
    """

    at: datetime
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    active: int = 0
    seconds: Sequence[float] = ()

    @property
    def number(self) -> int:
        return self.done + self.failed + self.cancelled + self.active

    @property
    def failure_rate(self) -> float | None:
        """Percent of those that were done or failed; None if there are none."""
        ended = self.done + self.failed
        return 100 * self.failed / ended if ended else None

    @property
    def median(self) -> float | None:
        return median(self.seconds) if self.seconds else None

    @property
    def longest(self) -> float | None:
        return self.seconds[-1] if self.seconds else None


@dataclass(frozen=True, kw_only=True)
class Trend:
    """The figures of each time, the earliest first, and those of all together."""

    times: Sequence[Figures]
    total: Figures
    length: timedelta

    @property
    def by_day(self) -> bool:
        return self.length >= timedelta(days=1)


def trend_of(runs: Iterable[RunTimes], *, since: datetime, now: datetime) -> Trend:
    """The trend of runs that were made from `since` to `now`.

    Args:
        since: in the time zone whose days are meant.
    """
    rows = list(runs)
    length = next((each for each in LENGTHS if (now - since) / each < MOST_TIMES), LENGTHS[-1])
    starts = _starts(since, now, length)
    inside: list[list[RunTimes]] = [[] for _ in starts]
    place = len(starts) - 1
    for row in sorted(rows, key=lambda row: row.created_at, reverse=True):
        while place and row.created_at < starts[place]:
            place -= 1
        inside[place].append(row)
    return Trend(
        times=[_figures(at, some) for at, some in zip(starts, inside, strict=True)],
        total=_figures(starts[0], rows),
        length=length,
    )


def _starts(since: datetime, now: datetime, length: timedelta) -> list[datetime]:
    """When each time begins.

    The first one begins at or before `since`, at a multiple of `length` after midnight of its zone.
    """
    midnight = since.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + (since - midnight) // length * length
    # Days are added by the calendar: some have 23 or 25 hours.
    starts = [first]
    while (following := starts[-1] + length) <= now:
        starts.append(following)
    return starts


def _figures(at: datetime, rows: Sequence[RunTimes]) -> Figures:
    done = [row for row in rows if row.state == RunState.SUCCESS]
    failed = sum(row.state == RunState.FAILURE for row in rows)
    cancelled = sum(row.state == RunState.REVOKED for row in rows)
    took = [
        (row.finished_at - row.started_at).total_seconds()
        for row in done
        if row.started_at is not None and row.finished_at is not None
    ]
    return Figures(
        at=at,
        done=len(done),
        failed=failed,
        cancelled=cancelled,
        active=len(rows) - len(done) - failed - cancelled,
        seconds=sorted(took),
    )
