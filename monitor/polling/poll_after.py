"""When to poll a task again: the longer nothing has changed, the later."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from parent.conf import interval
from parent.models import Item, Run, Step, StepState

__all__ = ["last_change", "poll_after_ms", "quiet_seconds", "step_of_time"]

LONGEST_MS, LONGEST_QUEUED_MS, LONGEST_AWAITING_MS = 2_000, 5_000, 30_000
MS_PER_STEP = 5
"""A status of many steps is long, so it is read less often: of 400 steps every 2 s."""


def last_change(run: Run, steps: Iterable[Step | Item], now: datetime) -> datetime:
    """When anything in these rows last changed."""
    moments = [run.created_at, run.started_at, run.cancel_requested_at]
    for step in steps:
        moments += [step.started_at, step.reported_at, step.finished_at]
        # A retry is queued for the future. `mirrored_at` is when that was decided.
        later = step.queued_at is not None and step.queued_at > now
        moments.append(run.mirrored_at if later else step.queued_at)
    return max(moment for moment in moments if moment is not None)


def step_of_time(changed_at: datetime, now: datetime) -> datetime:
    """The latest of 0, 1, 2, 4, 8 ... seconds after the last change."""
    return changed_at + timedelta(seconds=quiet_seconds(changed_at, now))


def quiet_seconds(changed_at: datetime, now: datetime) -> int:
    """The time since the last change, rounded down to 0, 1, 2, 4, 8 ... seconds."""
    quiet = (now - changed_at).total_seconds()
    return 0 if quiet < 1 else 1 << (int(quiet).bit_length() - 1)


def poll_after_ms(changed_at: datetime, now: datetime, steps: Collection[Step | Item]) -> int:
    """When to poll next: after a tenth of the time since the last change, within limits.

    So a client polls at the poll interval while reports come in (more slowly if there are more than
    a hundred steps), every 2 s while a child reports
    nothing, every 5 s while all steps wait in a queue, and every 30 s while the run only waits for
    something from outside.
    """
    shortest = max(
        round(1000 * interval("POLL_INTERVAL")), min(LONGEST_MS, MS_PER_STEP * len(steps))
    )
    running = any(step.state == StepState.RUNNING and not _only_waits(step) for step in steps)
    awaiting = any(step.state == StepState.RUNNING and _only_waits(step) for step in steps)
    queued = any(step.state == StepState.QUEUED for step in steps)
    quiet = 100 * (now - changed_at).total_seconds()
    longest = LONGEST_MS if running else LONGEST_QUEUED_MS
    if awaiting and not (running or queued):
        longest = LONGEST_AWAITING_MS
    return max(shortest, min(longest, round(quiet)))


def _only_waits(step: Step | Item) -> bool:
    """Whether this running step waits for something from outside, and nothing of it runs."""
    if isinstance(step, Step) and step.fed_by:
        left = ("waiting", "queued", "running")
        return not any((step.items or {}).get(name) for name in left)
    return bool(step.awaits)
