"""How long it will still take.

A step that runs goes on at its pace of late. One that has not begun takes as long, by its weight,
as those that have. A run takes what its steps take, by as many at a time as run now.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from children.meta import ALMOST
from parent.models import Step, StepState

__all__ = ["run_eta", "step_eta"]

LEAST = 1.0
"""Seconds; what goes on is never said to be done."""
MEASURED = 1.0
"""Seconds that a pace was measured before it is told."""

MOST = 30 * 86_400.0
"""Seconds; more says no more than that it hardly moves."""


def step_eta(step: Step, now: datetime) -> float | None:
    """Seconds that are left of a step; None while they cannot be told, and when it has ended."""
    return _rounded(_seconds(step, now, None))


def run_eta(steps: Collection[Step], now: datetime) -> float | None:
    """Seconds that are left of a run that goes on; None while they cannot be told."""
    usual = _usual_pace(steps, now)
    left = [step for step in steps if step.state in (*Step.ACTIVE, StepState.WAITING)]
    seconds = [_seconds(step, now, usual) for step in left]
    told = [each for each in seconds if each is not None]
    if not told or len(told) < len(seconds):
        return None
    active = [each for step, each in zip(left, told, strict=True) if step.state in Step.ACTIVE]
    at_a_time = sum(step.state == StepState.RUNNING for step in left) or 1
    return _rounded(max(sum(told) / at_a_time, *active, 0.0))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None or seconds > MOST else round(max(seconds, LEAST), 1)


def _usual_pace(steps: Iterable[Step], now: datetime) -> float | None:
    """Percent of a step of weight 1 per second, over all that have run or run now."""
    done = seconds = 0.0
    for step in steps:
        share = 100.0 if step.state == StepState.OK else step.completion
        if step.started_at is not None and share >= 1:
            done += step.weight * share
            seconds += ((step.finished_at or now) - step.started_at).total_seconds()
    return done / seconds if seconds >= MEASURED else None


def _seconds(step: Step, now: datetime, usual: float | None) -> float | None:
    """What is left of it; as others go where it has shown no pace of its own."""
    usually = 100.0 * step.weight / usual if usual else None
    match step.state:
        case StepState.RUNNING:
            return _running(step, now, usually)
        case StepState.QUEUED | StepState.WAITING:
            whole = 100.0 / step.pace if step.pace else usually
            # A retry's delay.
            delay = (step.queued_at - now).total_seconds() if step.queued_at else 0.0
            return None if whole is None else max(delay, 0.0) + whole
    return None


def _running(step: Step, now: datetime, usually: float | None) -> float | None:
    if step.started_at is None or step.completion >= ALMOST:
        return None
    if step.completion == 0:
        whole = 100.0 / step.pace if step.pace else usually
        ran = (now - step.started_at).total_seconds()
        return None if whole is None else _late(whole, ran, whole)
    heard_at, pace = step.reported_at or now, step.pace
    measured = (heard_at - (step.paced_since or step.started_at)).total_seconds()
    if measured < MEASURED:
        return None
    if step.paced_since is None:  # its reports were taken by the release before this one
        pace = step.completion / measured
    if not pace:
        return None
    item = 100.0 / (step.total or 1) / pace
    return _late((100.0 - step.completion) / pace, (now - heard_at).total_seconds(), item)


def _late(left: float, silent: float, expected: float) -> float:
    """What is left of `left` seconds after a silence. One that is longer than what was expected
    says that it takes longer, and nobody knows how much: as long again.
    """
    late = max(0.0, silent - expected)
    return max(0.0, left - silent + late) + late
