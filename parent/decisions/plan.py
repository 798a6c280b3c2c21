"""Pure decisions about a run: what opens, what is skipped, and when it ends."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from parent.decisions.openings import OPEN, Ended, Skip, decide, ended
from parent.decisions.step_like import (
    ACTIVE,
    FAILED,
    StepLike,
    cancels_run,
    dependents,
    fails_run,
    holds_run,
)
from parent.models import Awaits, RunState, StepState

__all__ = ["NOTHING", "Plan", "plan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The names of steps to open and to skip, and the run's final state if it is over.

    `reasons` says for each skipped step why, in words. `unneeded` are those of them that are
    skipped although nothing failed.
    """

    open: tuple[str, ...]
    skip: tuple[str, ...]
    final: RunState | None
    unneeded: frozenset[str] = frozenset()
    reasons: Mapping[str, str] = field(default_factory=dict, compare=False)


NOTHING = Plan(open=(), skip=(), final=None)
"""The plan of a run that waits for an active step."""
NOTHING_WAITS = "nothing waits for it any more"


def plan(
    steps: Sequence[StepLike],
    *,
    cancelled: bool = False,
    others: Mapping[str, Ended | None] | None = None,
) -> Plan:
    """What follows from the states of the steps.

    Whether a step opens or is skipped is `openings.decide`. The run is over when no step is active
    and none opens. A signal that nothing waits for any more is skipped: it does not keep the run.

    Args:
        cancelled: whether a cancel was requested: then the run ends REVOKED, unless no step has
            failed or was cancelled.
        others: if `steps` are not all, how the other steps on which these depend have ended, None
            while they have not; those that are OK may be left out. Then the plan has no final
            state.
    """
    before = {step.name: ended(step.state, step.optional, step.unneeded) for step in steps}
    before = {**(others or {}), **before}
    waiting = {step.name: step for step in steps if step.state == StepState.WAITING}
    opens, reasons, unneeded = _decided(waiting, before)
    closed = _unwanted_signals(steps, opens, reasons) if others is None else frozenset[str]()
    opens -= closed
    unneeded |= closed
    reasons |= dict.fromkeys(closed, NOTHING_WAITS)
    active = any(step.state in ACTIVE and step.name not in closed for step in steps)
    over = others is None and not opens and not active
    return Plan(
        open=tuple(name for name in waiting if name in opens),
        skip=tuple(step.name for step in steps if step.name in reasons),
        final=_final(steps, cancelled) if over else None,
        unneeded=frozenset(unneeded),
        reasons=reasons,
    )


def _decided(
    waiting: Mapping[str, StepLike], ends: Mapping[str, Ended | None]
) -> tuple[set[str], dict[str, str], set[str]]:
    """Which of the waiting steps open, which are skipped and why, and which of these are unneeded.

    Args:
        ends: how each step has ended, None while it has not; those that are OK may be left out.
    """
    before = dict(ends)
    opens, reasons, unneeded = set[str](), dict[str, str](), set[str]()
    after = dependents(waiting.values())
    left = {
        step.name: sum(before.get(name, Ended.OK) is None for name in step.after)
        for step in waiting.values()
    }
    undecided = list(reversed(list(waiting)))
    while undecided:
        step = waiting[undecided.pop()]
        if step.name in reasons:
            continue
        decision = decide(
            step.when,
            {name: before.get(name, Ended.OK) for name in step.after},
            {name: before.get(name, Ended.OK) for name in step.unless or ()},
        )
        if decision is OPEN:
            opens.add(step.name)
        elif isinstance(decision, Skip):
            how, reasons[step.name] = decision
            before[step.name] = how
            if how is Ended.UNNEEDED:
                unneeded.add(step.name)
            # Decide those after it again: once each, so that the time is proportional to the
            # number of dependencies, in whatever order the steps are declared.
            for name in after[step.name]:
                left[name] -= 1
                if left[name] == 0 or how is Ended.SKIPPED:
                    undecided.append(name)
    return opens, reasons, unneeded


def _unwanted_signals(
    steps: Sequence[StepLike], opens: Collection[str], skipped: Collection[str]
) -> frozenset[str]:
    """The names of open signals, or of signals that would open, that nothing waits for any more.

    One that no step has ever named is open until nothing else goes on in the run.
    """
    is_open = {s.name for s in steps if s.awaits == Awaits.SIGNAL and s.state == StepState.RUNNING}
    is_open |= {s.name for s in steps if s.awaits == Awaits.SIGNAL and s.name in opens}
    if not is_open:
        return frozenset()
    named, wanted = set[str](), set[str]()
    for step in steps:
        names = (*step.after, *(step.unless or ()))
        named.update(names)
        if step.fed_by:
            named.add(step.fed_by)
            if step.state in ACTIVE or step.name in opens or _waits(step, skipped):
                wanted.add(step.fed_by)
        if _waits(step, skipped) and step.name not in opens:
            wanted.update(names)
    goes_on = bool(is_open & wanted or set(opens) - is_open or any(map(holds_run, steps)))
    return frozenset(name for name in is_open - wanted if name in named or not goes_on)


def _waits(step: StepLike, skipped: Collection[str]) -> bool:
    return step.state == StepState.WAITING and step.name not in skipped


def _final(steps: Iterable[StepLike], cancelled: bool) -> RunState:
    if cancelled and any(step.state in FAILED and cancels_run(step) for step in steps):
        return RunState.REVOKED
    return RunState.FAILURE if any(map(fails_run, steps)) else RunState.SUCCESS
