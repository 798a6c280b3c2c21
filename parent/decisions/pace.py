"""How fast a step goes on, of late: measured from report to report."""

from datetime import datetime
from math import exp
from typing import Protocol

from children.meta import Meta

__all__ = ["Pace", "Paced", "pace_after"]

RECENT, LONGEST = 0.15, 60.0
"""What counts as of late: the last seventh of the time so far, up to a minute."""

Pace = tuple[float | None, datetime | None]
"""Percent of the step per second, and since when that is measured."""


class Paced(Protocol):
    """What is read of a step."""

    iteration: int
    total: int | None
    completion: float
    started_at: datetime | None
    reported_at: datetime | None
    pace: float | None
    paced_since: datetime | None


def pace_after(step: Paced, report: Meta, at: datetime) -> Pace:
    """The pace once the step, which is as it was before, has reported.

    A pace is that of one loop: where the counters begin anew, or begin at all, so does it. That of
    the attempt before stands until the new one has moved.
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
