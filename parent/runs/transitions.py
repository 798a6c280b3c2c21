"""What follows from where the steps of a run are, done in memory: nothing is written here."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial

from parent.decisions.plan import plan
from parent.models import Run, RunState, Step, StepState
from parent.runs.author_data import run_data
from parent.runs.opening import open_step
from parent.store.run_rows import Rest

__all__ = ["Moves", "mark_skipped", "move"]


@dataclass(kw_only=True, slots=True)
class Moves:
    """The steps that have moved.

    `refused` are those whose inputs could not be made. `waits`: something is to open, or all is
    done, and this process does not know the workflow. `final` is the state that the run ends in.
    """

    opened: list[Step] = field(default_factory=list)
    refused: list[Step] = field(default_factory=list)
    skipped: list[Step] = field(default_factory=list)
    waits: bool = False
    final: RunState | None = None


def move(
    run: Run,
    steps: Sequence[Step],
    now: datetime,
    *,
    known: bool = True,
    rest: Rest | None = None,
    before: Moves | None = None,
) -> Moves:
    """Open and skip steps, until nothing more follows.

    Three turns at the most: the second one skips what depends on steps whose inputs could not be
    made, and the third finds nothing. So it takes time in proportion to the steps.

    Args:
        known: whether this process knows the workflow. Otherwise it only skips.
        rest: where `steps` are not all of the run's.
        before: what has moved already; it is added to.
    """
    moves, by_name = before or Moves(), {step.name: step for step in steps}
    data = cache(partial(run_data, run, steps, rest))
    cancelled = run.cancel_requested_at is not None
    while True:
        todo = plan(steps, cancelled=cancelled, others=rest.states if rest else None)
        if not known and (todo.open or todo.final is RunState.SUCCESS):
            moves.waits = True
        if moves.waits:
            todo = replace(todo, open=(), final=None)
        if not (todo.open or todo.skip):
            moves.final = todo.final
            return moves
        skipped = [by_name[name] for name in todo.skip]
        mark_skipped(skipped, now)
        moves.skipped += skipped
        for step in [by_name[name] for name in todo.open]:
            opens = open_step(run, step, data, now)
            (moves.opened if opens else moves.refused).append(step)


def mark_skipped(steps: Sequence[Step], now: datetime) -> None:
    """Make the steps SKIPPED."""
    for step in steps:
        step.state, step.finished_at = StepState.SKIPPED, now
