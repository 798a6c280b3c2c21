"""What a run's row shows of its steps: its state, and its meta."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from children.meta import ALMOST, Meta
from parent.decisions.step_like import ShownLike, StepLike, cancels_run, fails_run
from parent.models import RunState, StepState

__all__ = ["Summary", "run_meta", "run_state", "summarize"]


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
    ended = [step for step in steps if cancels_run(step)]
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
