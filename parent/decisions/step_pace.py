"""The recent pace of a step, measured from report to report."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp
from typing import Protocol

from children.meta import Meta

__all__ = ["LastReport", "Pace", "Paced", "pace_after"]

RECENT, LONGEST = 0.15, 60.0
"""What counts as recent: this share of the time measured so far, at most so many seconds."""

Pace = tuple[float | None, datetime | None]
"""Percent of the step per second, and the time since which it has been measured."""


class Paced(Protocol):
    """The fields of a step that the pace needs."""

    iteration: int
    total: int | None
    completion: float
    started_at: datetime | None
    reported_at: datetime | None
    pace: float | None
    paced_since: datetime | None


def pace_after(step: Paced, report: Meta, at: datetime) -> Pace:
    """The new pace of a step after a report.

    A pace belongs to one loop of the body: it is measured anew when the counters start, or start
    again. A new attempt keeps the pace of the attempt before until its completion grows.

    Args:
        step: the step as it was before the report.
        at: the time of the report.
    """
    since = step.paced_since
    if step.reported_at is None:
        last, since = step.started_at or at, None
        if report.completion <= step.completion:
            return step.pace, at
    elif report.iteration < step.iteration or not (step.total or step.completion):
        return (step.pace if step.completion == 0 else None), at
    else:
        last = step.reported_at
    since = since or last
    seconds = (at - last).total_seconds()
    if seconds <= 0:
        return step.pace, since
    measured = max(0.0, report.completion - step.completion) / seconds
    late = min(RECENT * (at - since).total_seconds(), LONGEST)
    share = 1 - exp(-seconds / late)
    before = measured if step.pace is None else step.pace
    return before + share * (measured - before), since


@dataclass(slots=True, kw_only=True)
class LastReport:
    """The last report of an attempt and its pace, kept by the process that reports.

    Its times are by the clock of that process, and are only compared with each other.
    """

    started_at: datetime | None
    reported_at: datetime | None = None
    iteration: int = 0
    total: int | None = None
    completion: float = 0.0
    pace: float | None = None
    paced_since: datetime | None = None

    def replace(self, report: Meta, at: datetime) -> tuple[float | None, timedelta]:
        """Take a new report; return its pace, and for how long that has been measured."""
        self.pace, since = pace_after(self, report, at)
        self.iteration, self.total = report.iteration, report.total
        self.completion, self.reported_at = report.completion, at
        self.paced_since = since
        return self.pace, at - (since or at)
