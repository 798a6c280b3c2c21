"""Applying a run's plan to its steps, in memory: nothing is written here."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from types import MappingProxyType

from children.sanitize import clean_text
from parent.decisions.plan import plan
from parent.models import Run, RunState, Step, StepState
from parent.runs.author_data import run_data
from parent.runs.opening import open_step
from parent.store.run_rows import UnreadSteps

__all__ = ["Changes", "apply_plan", "mark_skipped"]


@dataclass(kw_only=True, slots=True)
class Changes:
    """The steps that have changed.

    `mapped` are those that opened with items: they run, or are OK where no item is left to run.
    `failed` are those whose inputs raised. `needs_other_worker`: a step must open, or all are OK,
    but this process does not know the workflow. `final` is the state in which the run ends.
    """

    opened: list[Step] = field(default_factory=list)
    mapped: list[Step] = field(default_factory=list)
    failed: list[Step] = field(default_factory=list)
    skipped: list[Step] = field(default_factory=list)
    needs_other_worker: bool = False
    final: RunState | None = None


def apply_plan(
    run: Run,
    steps: Sequence[Step],
    now: datetime,
    *,
    known: bool = True,
    unread: UnreadSteps | None = None,
    before: Changes | None = None,
) -> Changes:
    """Open and skip steps until nothing more follows.

    It plans once more after steps whose inputs raised: what depends on them is skipped, or opens
    because they failed. So there are more than three plans only where inputs raise again.

    Args:
        known: whether this process knows the workflow. If not, steps are only skipped.
        unread: the run's other steps, if `steps` are not all.
        before: earlier changes; new ones are added to them.
    """
    changes, by_name = before or Changes(), {step.name: step for step in steps}
    cancelled = run.cancel_requested_at is not None
    if run.waits_for_turn and not cancelled:
        return changes
    while True:
        # Anew each time: a step over no items is OK at once, and inputs that raise are an error.
        data = cache(partial(run_data, run, steps, unread))
        todo = plan(steps, cancelled=cancelled, others=unread.ended if unread else None)
        if not known and (todo.open or todo.final is RunState.SUCCESS):
            changes.needs_other_worker = True
        if changes.needs_other_worker:
            todo = replace(todo, open=(), final=None)
        if not (todo.open or todo.skip):
            changes.final = todo.final
            return changes
        skipped = [by_name[name] for name in todo.skip]
        mark_skipped(skipped, now, todo.reasons, todo.unneeded)
        changes.skipped += skipped
        # Anew for each plan: a step may have failed, or a Map without items be OK, since the last.
        data = cache(partial(run_data, run, steps, unread))
        for step in [by_name[name] for name in todo.open]:
            opens = open_step(run, step, data, now)
            kind = changes.mapped if step.is_mapped else changes.opened
            (kind if opens else changes.failed).append(step)


def mark_skipped(
    steps: Sequence[Step],
    now: datetime,
    reasons: Mapping[str, str] = MappingProxyType({}),
    unneeded: Collection[str] = (),
) -> None:
    """Make the steps SKIPPED; their messages say why.

    Args:
        reasons: why, by the steps' names.
        unneeded: the names of those that are skipped although nothing failed.
    """
    for step in steps:
        step.state, step.finished_at = StepState.SKIPPED, now
        reason = reasons.get(step.name)
        step.message = clean_text(f"skipped: {reason}") if reason else ""
        step.unneeded = step.name in unneeded
