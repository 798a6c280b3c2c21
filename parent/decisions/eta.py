"""Estimated seconds until a step or a run ends.

A running step continues at its recent pace. A step that has not started takes as long, relative to
its weight, as those that have. A run takes the sum of its steps, divided by how many run now.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from children.meta import ALMOST
from parent.models import Step, StepState, When

__all__ = ["run_eta", "step_eta"]

SHORTEST_ETA = 1.0
"""Seconds: the smallest estimate, because 0 would mean that the step has ended."""
LEAST_MEASURED = 1.0
"""Seconds for which a pace must have been measured."""

LONGEST_ETA = 30 * 86_400.0
"""Seconds: a longer estimate is left out, because the step hardly moves."""


def step_eta(step: Step, now: datetime) -> float | None:
    """Seconds until the step ends; None if they cannot be estimated, and if it has ended."""
    return _rounded(_seconds(step, now, None))


def run_eta(steps: Collection[Step], now: datetime) -> float | None:
    """Seconds until an active run ends; None if they cannot be estimated."""
    usual = _usual_pace(steps, now)
    has_failure = any(map(_has_failed, steps))
    unfinished = [step for step in steps if _will_run(step, has_failure)]
    if any(step.awaits for step in unfinished):
        return None  # nobody knows when that comes
    seconds = [_seconds(step, now, usual) for step in unfinished]
    known = [each for each in seconds if each is not None]
    if not known or len(known) < len(seconds):
        return None
    active = [
        each for step, each in zip(unfinished, known, strict=True) if step.state in Step.ACTIVE
    ]
    at_a_time = sum(step.state == StepState.RUNNING for step in unfinished) or 1
    return _rounded(max(sum(known) / at_a_time, *active, 0.0))


def _will_run(step: Step, has_failure: bool) -> bool:
    """Whether time must be counted for it: what runs after a failure only, if there is one."""
    if step.state == StepState.WAITING:
        return has_failure or step.when != When.FAILED
    return step.state in Step.ACTIVE


def _has_failed(step: Step) -> bool:
    return step.state in (StepState.ERROR, StepState.CANCELLED)


def _rounded(seconds: float | None) -> float | None:
    return (
        None if seconds is None or seconds > LONGEST_ETA else round(max(seconds, SHORTEST_ETA), 1)
    )


def _usual_pace(steps: Iterable[Step], now: datetime) -> float | None:
    """Percent per second for a step of weight 1, from all steps that have run or are running."""
    done = seconds = 0.0
    for step in steps:
        share = 100.0 if step.state == StepState.OK else step.completion
        if step.started_at is not None and share >= 1 and not step.awaits:
            done += step.weight * share
            seconds += ((step.finished_at or now) - step.started_at).total_seconds()
    return done / seconds if seconds >= LEAST_MEASURED else None


def _seconds(step: Step, now: datetime, usual: float | None) -> float | None:
    """Seconds until the step ends, by its own pace, or without one by the `usual` pace."""
    if step.awaits:
        return None
    usual_seconds = 100.0 * step.weight / usual if usual else None
    match step.state:
        case StepState.RUNNING:
            return _running_seconds(step, now, usual_seconds)
        case StepState.QUEUED | StepState.WAITING:
            whole = 100.0 / step.pace if step.pace else usual_seconds
            # Until the time of a retry, for which a queued step may still wait.
            delay = (step.queued_at - now).total_seconds() if step.queued_at else 0.0
            return None if whole is None else max(delay, 0.0) + whole
    return None


def _running_seconds(step: Step, now: datetime, usual_seconds: float | None) -> float | None:
    if step.started_at is None or step.completion >= ALMOST:
        return None
    if step.completion == 0:
        whole = 100.0 / step.pace if step.pace else usual_seconds
        ran = (now - step.started_at).total_seconds()
        return None if whole is None else _remaining(whole, ran, whole)
    heard_at, pace = step.reported_at or now, step.pace
    measured = (heard_at - (step.paced_since or step.started_at)).total_seconds()
    if measured < LEAST_MEASURED:
        return None
    if step.paced_since is None:  # a release that did not measure a pace took its reports
        pace = step.completion / measured
    if not pace:
        return None
    item = 100.0 / (step.total or 1) / pace
    return _remaining((100.0 - step.completion) / pace, (now - heard_at).total_seconds(), item)


def _remaining(left: float, silent: float, expected: float) -> float:
    """Seconds that remain of `left`, `silent` seconds after the last report.

    A silence longer than `expected` means that the present item takes longer. Nobody knows by how
    much, so the delay so far is added once more.
    """
    late = max(0.0, silent - expected)
    return max(0.0, left - silent + late) + late
