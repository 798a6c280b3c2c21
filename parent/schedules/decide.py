"""What becomes of the times that are due: pure decisions by catch-up and overlap."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from parent.models import CatchUp, Overlap
from parent.schedules.calendar import Occurrence

__all__ = ["MOST_WAITING", "Act", "Due", "caught_up", "due", "may_start_waiting", "on_overlap"]

MOST_WAITING = 100
"""Starts of one schedule that wait for the end of a run; a further one is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """The times whose start has come, and the first that has not.

    `following` is None where no time follows. `more`: others are due too, which a later look takes.
    """

    times: Sequence[Occurrence]
    following: Occurrence | None
    more: bool = False


def due(times: Iterator[Occurrence], now: datetime, *, at_most: int) -> Due:
    """Those of `times`, which are in order, whose start has come."""
    found: list[Occurrence] = []
    for time in times:
        if time.start > now:
            return Due(times=found, following=time)
        if len(found) == at_most:
            return Due(times=found, following=time, more=True)
        found.append(time)
    return Due(times=found, following=None)


def caught_up(
    rule: str, found: Due, now: datetime, *, grace: float | None, window: float
) -> list[tuple[Occurrence, bool]]:
    """Which of these times start a run; the others were missed.

    Args:
        rule: of `CatchUp`.
        grace: seconds that a start may be late without being missed; None: it is never too late.
        window: seconds; with "all" a time that is older is missed.
    """
    if rule == CatchUp.ALL:
        oldest = now - timedelta(seconds=window)
        return [(time, time.nominal >= oldest) for time in found.times]
    verdicts = [(time, False) for time in found.times]
    if verdicts and not found.more:
        last = found.times[-1]
        late = (now - last.start).total_seconds()
        verdicts[-1] = (last, rule == CatchUp.LATEST or grace is None or late <= grace)
    return verdicts


class Act(Enum):
    """What a start does that finds earlier ones of its schedule."""

    START = "start"
    WAIT = "wait"
    REPLACE = "replace"
    """Cancel the active runs, take the place of those that wait, and wait."""
    SKIP = "skip"
    QUEUE_FULL = "queue_full"


def on_overlap(rule: str, *, active: int, waiting: int) -> Act:
    """What a start does.

    Args:
        rule: of `Overlap`.
        active: runs of this schedule that have not ended.
        waiting: starts that wait for their end.
    """
    if rule == Overlap.ALLOW or not (active or waiting):
        return Act.START
    if rule == Overlap.CANCEL_RUNNING:
        return Act.REPLACE
    if rule == Overlap.QUEUE:
        return Act.WAIT if waiting < MOST_WAITING else Act.QUEUE_FULL
    return Act.SKIP


def may_start_waiting(rule: str, *, active: int) -> bool:
    """Whether the first of those that wait may start. It may where the rule was edited, too."""
    return rule == Overlap.ALLOW or active == 0
