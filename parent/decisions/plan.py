"""Pure decisions about a run: what opens, what is skipped, when it is over, how far it is."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from children.meta import ALMOST, Meta
from parent.models import RunState, StepState

__all__ = [
    "ACTIVE",
    "NOTHING",
    "STOPPED",
    "Plan",
    "Summary",
    "dependents",
    "plan",
    "run_meta",
    "run_state",
    "summarize",
]

ACTIVE = frozenset({StepState.QUEUED, StepState.RUNNING})
FAILED = frozenset({StepState.ERROR, StepState.CANCELLED})
STOPPED = FAILED | {StepState.SKIPPED}


class ShownLike(Protocol):
    """What a run shows of one of its steps."""

    name: str
    state: str
    iteration: int
    total: int | None
    message: str
    error: str | None


class StepLike(ShownLike, Protocol):
    """What is read of a step."""

    after: Sequence[str]
    weight: float
    completion: float
    started_at: datetime | None
    reported_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What a run's row tells of its steps.

    `done` is the sum of their completions by weight. `moved`: one has reported, or has ended well.
    `began` is when the first of them did. `failed` is the first that failed or was cancelled; who
    goes on with a run need not know.
    """

    weight: float
    done: float
    moved: bool
    began: datetime | None
    shown: ShownLike
    failed: ShownLike | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to do next: names of steps, and the run's final state once it is over."""

    open: tuple[str, ...]
    skip: tuple[str, ...]
    final: RunState | None


NOTHING = Plan(open=(), skip=(), final=None)
"""What follows while something is active."""


def plan(
    steps: Sequence[StepLike],
    *,
    cancelled: bool = False,
    others: Mapping[str, StepState] | None = None,
) -> Plan:
    """What follows from where the steps are.

    A step opens when all that it comes after are OK, and is skipped when one of them will
    never be. The run is over when nothing is active and nothing opens.

    Args:
        cancelled: whether the run is to be cancelled: then it ends so, unless all is done.
        others: where `steps` are not all, the states of those others that they come after and
            that are not OK. Whether the run is over cannot be told then.
    """
    states = {step.name: StepState(step.state) for step in steps}
    before = states if others is None else {**others, **states}
    waiting = [step for step in steps if step.state == StepState.WAITING]
    _spread_skips(waiting, states)
    opens = tuple(
        step.name
        for step in waiting
        if states[step.name] is StepState.WAITING
        and all(before.get(name, StepState.OK) is StepState.OK for name in step.after)
    )
    over = others is None and not opens and not ACTIVE & set(states.values())
    return Plan(
        open=opens,
        skip=tuple(step.name for step in waiting if states[step.name] is StepState.SKIPPED),
        final=_final(states.values(), cancelled) if over else None,
    )


def _spread_skips(waiting: Sequence[StepLike], states: dict[str, StepState]) -> None:
    """Mark as SKIPPED what comes after a step that will never be OK, and what comes after that.

    Each dependency is looked at once, in whatever order the steps are declared.
    """
    stopped = [name for name, state in states.items() if state in STOPPED]
    if not stopped:
        return
    after = dependents(waiting)
    while stopped:
        for name in after[stopped.pop()]:
            if states[name] is StepState.WAITING:
                states[name] = StepState.SKIPPED
                stopped.append(name)


def dependents(steps: Iterable[StepLike]) -> defaultdict[str, list[str]]:
    """The names of those that come right after a step, by its name."""
    after: defaultdict[str, list[str]] = defaultdict(list)
    for step in steps:
        for name in step.after:
            after[name].append(step.name)
    return after


def _final(states: Iterable[StepState], cancelled: bool) -> RunState:
    if all(state is StepState.OK for state in states):
        return RunState.SUCCESS
    return RunState.REVOKED if cancelled else RunState.FAILURE


def summarize(steps: Sequence[StepLike]) -> Summary:
    """What a run's row tells of its steps; `store.run_summaries` reads the same from the rows."""
    return Summary(
        weight=sum(step.weight for step in steps),
        done=sum(step.weight * _share(step) for step in steps),
        moved=any(step.reported_at or step.state == StepState.OK for step in steps),
        began=min((step.started_at for step in steps if step.started_at), default=None),
        shown=_shown(steps),
        failed=next((step for step in steps if step.state in FAILED), None),
    )


def run_state(before: RunState, steps: Summary) -> RunState:
    """The state of a run that goes on: STARTED once a child runs, PROGRESS once one has reported
    or has ended well.
    """
    if steps.moved:
        return RunState.PROGRESS
    if before is RunState.PENDING and steps.began:
        return RunState.STARTED
    return before


def run_meta(before: Meta, steps: Summary, final: RunState | None = None) -> Meta:
    """The run's meta, mirrored from its steps.

    `completion` is theirs by weight, never less than `before`'s, and 100 only at a good end.
    The counters and the message are those of the first running step, or of the last to end.
    """
    completion = max(before.completion, min(steps.done / steps.weight, ALMOST))
    shown = steps.shown
    meta = Meta(
        iteration=shown.iteration,
        total=shown.total,
        completion=100.0 if final is RunState.SUCCESS else completion,
        message=_message(shown),
    )
    if final in (None, RunState.SUCCESS):
        return meta
    failed = steps.failed or shown
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


def _message(step: ShownLike) -> str:
    text = step.message or (f"{step.iteration} of {step.total}" if step.total else "")
    return f"{step.name}: {text}" if text else step.name
