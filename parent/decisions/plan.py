"""Pure decisions about a run: what opens, what is skipped, when it ends, and its meta."""

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
    """The fields of a step that the run's meta shows."""

    name: str
    state: str
    iteration: int
    total: int | None
    message: str
    error: str | None


class StepLike(ShownLike, Protocol):
    """The fields of a step that a plan and a summary need."""

    after: Sequence[str]
    weight: float
    completion: float
    started_at: datetime | None
    reported_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What a run's row shows of its steps.

    `done` is the sum of their completions by weight. `progressed`: one has reported, or is OK.
    `started_at` is when the first of them started. `shown` is the step whose counters and message
    the run shows. `failed` is the first that failed or was cancelled; it may be left out while the
    run goes on.
    """

    weight: float
    done: float
    progressed: bool
    started_at: datetime | None
    shown: ShownLike
    failed: ShownLike | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The names of steps to open and to skip, and the run's final state if it is over."""

    open: tuple[str, ...]
    skip: tuple[str, ...]
    final: RunState | None


NOTHING = Plan(open=(), skip=(), final=None)
"""The plan of a run that waits for an active step."""


def plan(
    steps: Sequence[StepLike],
    *,
    cancelled: bool = False,
    others: Mapping[str, StepState] | None = None,
) -> Plan:
    """What follows from the states of the steps.

    A step opens when all steps that it depends on are OK. It is skipped when one of them will
    never be OK. The run is over when no step is active and none opens.

    Args:
        cancelled: whether a cancel was requested: then the run ends REVOKED, unless all steps are
            OK.
        others: if `steps` are not all, the states of the other steps on which these depend and
            which are not OK. Then the plan has no final state.
    """
    states = {step.name: StepState(step.state) for step in steps}
    before = states if others is None else {**others, **states}
    waiting = [step for step in steps if step.state == StepState.WAITING]
    _propagate_skips(waiting, states)
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


def _propagate_skips(waiting: Sequence[StepLike], states: dict[str, StepState]) -> None:
    """Set to SKIPPED all steps that depend, also indirectly, on one that will never be OK.

    Each dependency is visited once, in whatever order the steps are declared.
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
    """For each step's name, the names of the steps that depend on it directly."""
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
    """The summary of these steps; `store.run_summaries` computes the same in the database."""
    return Summary(
        weight=sum(step.weight for step in steps),
        done=sum(step.weight * _completion(step) for step in steps),
        progressed=any(step.reported_at or step.state == StepState.OK for step in steps),
        started_at=min((step.started_at for step in steps if step.started_at), default=None),
        shown=_shown_step(steps),
        failed=next((step for step in steps if step.state in FAILED), None),
    )


def run_state(before: RunState, steps: Summary) -> RunState:
    """The state of a run that goes on: STARTED once a child runs, PROGRESS once one has reported
    or is OK.
    """
    if steps.progressed:
        return RunState.PROGRESS
    if before is RunState.PENDING and steps.started_at:
        return RunState.STARTED
    return before


def run_meta(before: Meta, steps: Summary, final: RunState | None = None) -> Meta:
    """The run's meta, mirrored from its steps.

    `completion` is theirs by weight, never less than `before`'s, and 100 only if the run succeeds.
    The counters and the message are those of `steps.shown`.
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


def _completion(step: StepLike) -> float:
    return 100.0 if step.state == StepState.OK else step.completion


def _shown_step(steps: Sequence[StepLike]) -> StepLike:
    for wanted in (StepState.RUNNING, StepState.ERROR, StepState.QUEUED):
        for step in steps:
            if step.state == wanted:
                return step
    ended = [step for step in steps if step.state == StepState.OK]
    return ended[-1] if ended else steps[0]


def _message(step: ShownLike) -> str:
    text = step.message or (f"{step.iteration} of {step.total}" if step.total else "")
    return f"{step.name}: {text}" if text else step.name
