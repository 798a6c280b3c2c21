"""When a step opens, and when it is skipped: one decision about one step, without its rows."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from parent.models import StepState, When

__all__ = ["OPEN", "Decision", "Ended", "Skip", "decide", "ended"]


class Ended(Enum):
    """How a step has ended, for those that come after it.

    TOLERATED: it failed, and is optional. UNNEEDED: it was skipped because nothing failed. FAILED
    and CANCELLED have failed; SKIPPED was skipped because another one failed.
    """

    OK = "is OK"
    TOLERATED = "failed, which is allowed"
    FAILED = "failed"
    CANCELLED = "was cancelled"
    SKIPPED = "was skipped"
    UNNEEDED = "was not needed"


STOPS = (Ended.FAILED, Ended.CANCELLED, Ended.SKIPPED)
"""After one of these, a step that needs all before it to be OK never opens."""


class Skip(NamedTuple):
    """Skip the step. `how` is SKIPPED or UNNEEDED; `reason` says why, in words."""

    how: Ended
    reason: str


OPEN: Final = "open"

Decision = Skip | Literal["open"] | None
"""Open the step, or skip it; None: wait."""


def ended(state: str, optional: bool, unneeded: bool) -> Ended | None:
    """How a step of that state has ended; None if it has not.

    Being optional covers a failure, not a skip: what comes after a step that was skipped because
    an earlier one failed, is skipped too.
    """
    match state:
        case StepState.OK:
            return Ended.OK
        case StepState.ERROR:
            return Ended.TOLERATED if optional else Ended.FAILED
        case StepState.CANCELLED:
            return Ended.CANCELLED
        case StepState.SKIPPED:
            return Ended.UNNEEDED if unneeded else Ended.SKIPPED
    return None


def decide(
    when: str,
    before: Mapping[str, Ended | None],
    unless: Mapping[str, Ended | None] = MappingProxyType({}),
) -> Decision:
    """What becomes of a waiting step.

    | `when` | opens | is skipped |
    | --- | --- | --- |
    | ok | all before it are OK, or failed and are optional | as soon as one of them will not be |
    | failed | all have ended, and one of them has failed | all have ended, and none has failed |
    | always | all have ended | never |

    A step that was skipped because another one failed counts as failed; one that was not needed
    counts neither as OK nor as failed. Whatever its `when`, it is skipped as soon as one of those
    in its `unless` is OK.

    Args:
        before: how each step that it comes after has ended; None if it has not.
        unless: how each step and signal in its `unless` has ended.
    """
    there = next((name for name, how in unless.items() if how is Ended.OK), None)
    if there is not None:
        return Skip(Ended.UNNEEDED, f"{there} was there first")
    stopped = next((name for name, how in before.items() if how in STOPS), None)
    if when == When.OK and stopped is not None:
        return Skip(Ended.SKIPPED, _reason(stopped, before))
    if None in before.values():
        return None
    if when == When.ALWAYS:
        return OPEN
    if when == When.FAILED:
        failed = stopped is not None or Ended.TOLERATED in before.values()
        return OPEN if failed else Skip(Ended.UNNEEDED, "nothing before it failed")
    unneeded = next((name for name, how in before.items() if how is Ended.UNNEEDED), None)
    return OPEN if unneeded is None else Skip(Ended.UNNEEDED, _reason(unneeded, before))


def _reason(name: str, before: Mapping[str, Ended | None]) -> str:
    how = before[name]
    return f"{name} {how.value}" if how is not None else name
