"""Pure decisions about a run: what opens, what is skipped, when it is over, how far it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from children.meta import ALMOST, Meta
from parent.models import RunState, StepState

__all__ = ["NOTHING", "Plan", "can_go_on", "plan", "run_meta", "run_state"]

ACTIVE = frozenset({StepState.QUEUED, StepState.RUNNING})
STOPPED = frozenset({StepState.ERROR, StepState.SKIPPED, StepState.CANCELLED})


class StepLike(Protocol):
    """What is read of a step."""

    name: str
    state: str
    after: Sequence[str]
    weight: float
    iteration: int
    total: int | None
    completion: float
    message: str
    error: str | None
    started_at: datetime | None
    reported_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to do next: names of steps, and the run's final state once it is over."""

    open: tuple[str, ...]
    skip: tuple[str, ...]
    final: RunState | None


NOTHING = Plan(open=(), skip=(), final=None)
"""What follows while something is active."""


def plan(steps: Sequence[StepLike], *, cancelled: bool = False) -> Plan:
    """What follows from where the steps are.

    A step opens when all that it comes after are OK, and is skipped when one of them will
    never be. The run is over when nothing is active and nothing opens.

    Args:
        cancelled: whether the run is to be cancelled: then it ends so, unless all is done.
    """
    states = {step.name: StepState(step.state) for step in steps}
    waiting = [step for step in steps if step.state == StepState.WAITING]
    # Skipping spreads: to what comes after a skipped step, in whatever order they are declared.
    while stopped := [
        step.name
        for step in waiting
        if states[step.name] is StepState.WAITING
        and any(states[name] in STOPPED for name in step.after)
    ]:
        states |= dict.fromkeys(stopped, StepState.SKIPPED)
    opens = tuple(
        step.name
        for step in waiting
        if states[step.name] is StepState.WAITING
        and all(states[name] is StepState.OK for name in step.after)
    )
    over = not opens and not ACTIVE & set(states.values())
    return Plan(
        open=opens,
        skip=tuple(step.name for step in waiting if states[step.name] is StepState.SKIPPED),
        final=_final(states.values(), cancelled) if over else None,
    )


def can_go_on(steps: Sequence[StepLike]) -> bool:
    """Whether something opens, or all is done: then the workflow's author has a say."""
    todo = plan(steps)
    return bool(todo.open) or todo.final is RunState.SUCCESS


def _final(states: Iterable[StepState], cancelled: bool) -> RunState:
    if all(state is StepState.OK for state in states):
        return RunState.SUCCESS
    return RunState.REVOKED if cancelled else RunState.FAILURE


def run_state(before: RunState, steps: Sequence[StepLike]) -> RunState:
    """The state of a run that goes on: STARTED once a child runs, PROGRESS once one has reported
    or has ended well.
    """
    if any(step.reported_at or step.state == StepState.OK for step in steps):
        return RunState.PROGRESS
    if before is RunState.PENDING and any(step.started_at for step in steps):
        return RunState.STARTED
    return before


def run_meta(before: Meta, steps: Sequence[StepLike], final: RunState | None = None) -> Meta:
    """The run's meta, mirrored from its steps.

    `completion` is theirs by weight, never less than `before`'s, and 100 only at a good end.
    The counters and the message are those of the first running step, or of the last to end.
    """
    done = sum(step.weight * _share(step) for step in steps) / sum(step.weight for step in steps)
    completion = max(before.completion, min(done, ALMOST))
    shown = _shown(steps)
    meta = Meta(
        iteration=shown.iteration,
        total=shown.total,
        completion=100.0 if final is RunState.SUCCESS else completion,
        message=_message(shown),
    )
    if final in (None, RunState.SUCCESS):
        return meta
    failed = next(
        (step for step in steps if step.state in (StepState.ERROR, StepState.CANCELLED)), shown
    )
    return meta.failed(failed.error or f"{failed.name} was {failed.state.lower()}")


def _share(step: StepLike) -> float:
    return 100.0 if step.state == StepState.OK else step.completion


def _shown(steps: Sequence[StepLike]) -> StepLike:
    for wanted in (StepState.RUNNING, StepState.ERROR, StepState.QUEUED):
        for step in steps:
            if step.state == wanted:
                return step
    ended = [step for step in steps if step.state == StepState.OK]
    return ended[-1] if ended else steps[0]


def _message(step: StepLike) -> str:
    text = step.message or (f"{step.iteration} of {step.total}" if step.total else "")
    return f"{step.name}: {text}" if text else step.name
