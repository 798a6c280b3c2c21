"""Applying a run's plan to its steps, and their states to the run, in memory: nothing is written
here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from types import MappingProxyType

from celery.utils.log import get_logger

from children.meta import error_text
from children.sanitize import clean_text, one_line
from parent.decisions.plan import plan
from parent.decisions.summary import Summary, run_meta, run_state, summarize
from parent.errors import TransactionEnded
from parent.messages.publish import republish_after
from parent.models import Run, RunState, Step, StepState
from parent.runs.author_data import apart, run_data
from parent.runs.concurrency.runs_in_line import turn_message
from parent.runs.nested.child import end_without_run, too_deep
from parent.runs.opening import open_step, run_result
from parent.runs.signals.opening import open_awaited
from parent.store.run_rows import UnreadSteps
from parent.telemetry.log_context import about

__all__ = ["Changes", "apply_plan", "log_end", "mark_skipped", "update_from_steps"]

logger = get_logger(__name__)


@dataclass(kw_only=True, slots=True)
class Changes:
    """The steps that have changed.

    `mapped` are those that opened with items: they run, or are OK where no item is left to run.
    `nested` are those that opened as a run of their own, which is to be written.
    `awaited` are those that opened to wait for something from outside; if that has come before,
    they have ended. A step that is OK without a run, because it is too deep, is among them too.
    `failed` are those whose inputs raised. `needs_other_worker`: a step must open, or all are OK,
    but this process does not know the workflow. `final` is the state in which the run ends.
    """

    opened: list[Step] = field(default_factory=list)
    mapped: list[Step] = field(default_factory=list)
    nested: list[Step] = field(default_factory=list)
    awaited: list[Step] = field(default_factory=list)
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
        data = partial(apart, cache(partial(run_data, run, steps, unread)))
        for step in [by_name[name] for name in todo.open]:
            if step.awaits:
                open_awaited(run, step, now)
                changes.awaited.append(step)
                continue
            if not step.is_mapped and (reason := too_deep(run, step)):
                end_without_run(step, reason, now)
                changes.awaited.append(step)
                continue
            opens = open_step(run, step, data, now)
            kind = changes.nested if step.nested else changes.opened
            kind = changes.mapped if step.is_mapped else kind
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
        step.state, step.finished_at, step.due_at = StepState.SKIPPED, now, None
        reason = reasons.get(step.name)
        step.message = clean_text(f"skipped: {reason}") if reason else ""
        step.unneeded = step.name in unneeded


def update_from_steps(
    run: Run,
    steps: Sequence[Step],
    final: RunState | None,
    now: datetime,
    error: str = "",
    summary: Summary | None = None,
) -> None:
    """Update the run from its steps, in memory; see `write_run` for the arguments."""
    summary = summary or summarize(steps)
    run.version += 1
    run.mirrored_at = now
    run.started_at = run.started_at or summary.started_at
    run.state = run_state(RunState(run.state), summary)
    run.set_meta(run_meta(run.meta, summary, final))
    if run.waits_for_turn and final is None:
        run.message = turn_message(run.place_key)
    if final is not None:
        run.state, run.finished_at = final, now
        run.due_at = None
        if run.is_child:
            run.due_at = now  # a tick ends the step that it is, if nobody has done it by then
        elif run.follow_up:
            run.due_at = now + republish_after(0)
    if error:
        run.error = error
    if final is RunState.SUCCESS:
        try:
            run.set_meta(run_result(run, steps))
        except Exception as exc:
            with about(run):
                logger.exception("%s[%s]: its result could not be made", run.workflow, run.pk)
            error = f"Error in the result of {run.workflow}: {error_text(exc)}"
            if isinstance(exc, TransactionEnded):
                raise TransactionEnded(error, run.pk) from exc
            run.state = RunState.FAILURE
            run.set_meta(run.meta.failed(error))


def log_end(run: Run) -> None:
    """Log that the run has ended, if it has."""
    if run.ended:
        with about(run):
            logger.info(
                "%s[%s] ended: %s %s", run.workflow, run.pk, run.state, one_line(run.error or "")
            )
