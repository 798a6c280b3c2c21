"""Pure decisions about a run: what opens, what is skipped, when it ends, and its meta."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from children.meta import ALMOST, Meta
from parent.decisions.openings import OPEN, Ended, Skip, decide, ended
from parent.models import Awaits, RunState, StepState

__all__ = [
    "ACTIVE",
    "NOTHING",
    "Plan",
    "Summary",
    "dependents",
    "fails_run",
    "holds_run",
    "plan",
    "run_meta",
    "run_state",
    "summarize",
]

ACTIVE = frozenset({StepState.QUEUED, StepState.RUNNING})
FAILED = frozenset({StepState.ERROR, StepState.CANCELLED})


class ShownLike(Protocol):
    """The fields of a step that the run's meta shows."""

    name: str
    state: str
    iteration: int
    total: int | None
    message: str
    error: str | None
    optional: bool
    awaits: str
    fed_by: str


class StepLike(ShownLike, Protocol):
    """The fields of a step that a plan and a summary need."""

    after: Sequence[str]
    when: str
    unless: Sequence[str] | None
    unneeded: bool
    weight: float
    completion: float
    started_at: datetime | None
    reported_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What a run's row shows of its steps.

    `done` is the sum of their completions by weight. `progressed`: one has reported, or is OK.
    `started_at` is when the first of them started. `shown` is the step whose counters and message
    the run shows. `failed` is the first that failed the run, by time; it may be left out while the
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
    """The names of steps to open and to skip, and the run's final state if it is over.

    `reasons` says for each skipped step why, in words. `unneeded` are those of them that are
    skipped although nothing failed.
    """

    open: tuple[str, ...]
    skip: tuple[str, ...]
    final: RunState | None
    unneeded: frozenset[str] = frozenset()
    reasons: Mapping[str, str] = field(default_factory=dict, compare=False)


NOTHING_WAITS = "nothing waits for it any more"

NOTHING = Plan(open=(), skip=(), final=None)
"""The plan of a run that waits for an active step."""


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
    opens, reasons, unneeded = set[str](), dict[str, str](), set[str]()
    after = dependents(waiting.values())
    left = {
        step.name: sum(before.get(name, Ended.OK) is None for name in step.after)
        for step in waiting.values()
    }
    undecided = list(reversed(waiting))
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


def holds_run(step: StepLike) -> bool:
    """Whether the run goes on because of this step: it is active, and no signal."""
    return step.state in ACTIVE and step.awaits != Awaits.SIGNAL


def dependents(steps: Iterable[StepLike]) -> defaultdict[str, list[str]]:
    """For each step's name, the names of the steps that depend on it directly."""
    after: defaultdict[str, list[str]] = defaultdict(list)
    for step in steps:
        for name in step.after:
            after[name].append(step.name)
    return after


def _final(steps: Iterable[StepLike], cancelled: bool) -> RunState:
    if cancelled and any(step.state in FAILED and _cancels(step) for step in steps):
        return RunState.REVOKED
    return RunState.FAILURE if any(map(fails_run, steps)) else RunState.SUCCESS


def _cancels(step: ShownLike) -> bool:
    return step.state == StepState.CANCELLED or fails_run(step)


def fails_run(step: ShownLike) -> bool:
    """Whether this step fails its run."""
    return step.state in FAILED and not step.optional


def summarize(steps: Sequence[StepLike]) -> Summary:
    """The summary of these steps; `store.run_summaries` computes the same in the database."""
    return Summary(
        weight=sum(step.weight for step in steps),
        done=sum(step.weight * _completion(step) for step in steps),
        progressed=any(step.reported_at or step.state == StepState.OK for step in steps),
        started_at=min((step.started_at for step in steps if step.started_at), default=None),
        shown=_shown_step(steps),
        failed=_first_failed(steps),
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
    # What waits for something from outside weighs nothing, and there may be nothing else.
    done = steps.done / steps.weight if steps.weight else 0.0
    completion = max(before.completion, min(done, ALMOST))
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


def _first_failed(steps: Iterable[StepLike]) -> StepLike | None:
    """The first step, by time, that failed the run; else the first that a cancel has ended.

    A cancel ends what waits before what runs, so its steps count in the order of the list.
    """
    ended = [step for step in steps if _cancels(step)]
    failing = [step for step in ended if step.state == StepState.ERROR]
    if not failing:
        return next(filter(fails_run, ended), next(iter(ended), None))
    # Two that ended together count in the order of the list.
    with_time = [step for step in failing if step.finished_at is not None]
    return min(with_time, key=_finished_at) if with_time else failing[0]


def _finished_at(step: StepLike) -> Any:
    return step.finished_at


def _completion(step: StepLike) -> float:
    """Nothing is left to do of a step that is OK, that was not needed, or may fail and did."""
    tolerated = step.optional and step.state == StepState.ERROR
    done = step.state == StepState.OK or step.unneeded or tolerated
    return 100.0 if done else step.completion


def _shown_step(steps: Sequence[StepLike]) -> StepLike:
    for wanted in (StepState.RUNNING, StepState.ERROR, StepState.QUEUED):
        for step in steps:
            tolerated = step.optional and wanted is StepState.ERROR
            awaited = step.awaits and wanted is StepState.RUNNING
            if step.state == wanted and not (tolerated or awaited):
                return step
    if awaiting := [step for step in steps if step.state == StepState.RUNNING]:
        return awaiting[0]
    good = [step for step in steps if step.state == StepState.OK]
    return good[-1] if good else steps[0]


def _message(step: ShownLike) -> str:
    text = step.message
    if not text and step.total:
        text = f"{step.iteration} of {step.total}"
    elif not text and step.iteration:
        text = f"{step.iteration} done"
    return f"{step.name}: {text}" if text else step.name
