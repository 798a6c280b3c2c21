"""Copy reports to the runs and to the `TaskResult` rows of parents and children.

A child reports into its step. A foreign task reports into its own `TaskResult`, as Celery does.

It takes the same few statements, in one transaction, for any number of children.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django_celery_results.models import TaskResult

from children.meta import Meta
from parent.decisions.step_pace import pace_after
from parent.decisions.summary import Summary, run_meta, run_state
from parent.models import Run, RunState, Step, StepState
from parent.runs.nested.reports import report_up
from parent.store import clock, results
from parent.store.run_summaries import read_summaries
from parent.store.writes.update import update_rows
from parent.watch.items import add_up

__all__ = ["Report", "mirror"]

HAS_ENDED = "t.status IN ('SUCCESS', 'FAILURE', 'REVOKED')"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What one foreign task reported, and when a tick must check it next."""

    meta: Meta
    at: datetime
    due_at: datetime | None


def mirror(
    reported: Collection[str] = (),
    foreign: Mapping[str, Report] | None = None,
    stale_runs: Collection[UUID] = (),
) -> int:
    """Copy reports to the runs; return how many runs changed.

    A locked run is being updated by a child that finishes. It is left to the next tick.

    Args:
        reported: task ids of the children that have reported, into their steps.
        foreign: the reports of foreign tasks, by task id. They are copied to the steps too.
        stale_runs: ids of more runs whose rows must be updated from their steps.
    """
    foreign = foreign or {}
    have_reports = Step.objects.filter(task_id__in=[*reported, *foreign])
    in_need = Q(pk__in=have_reports.values("run_id"))
    with transaction.atomic():
        # Lock all runs before writing anything, so that two transactions never wait for each
        # other (deadlock).
        runs = {
            run.pk: run
            for run in Run.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
            .filter(in_need | Q(pk__in=list(stale_runs)) if stale_runs else in_need)
            .defer("params", "files", "result")
            # A cancelled run shows no more progress, and its `due_at` must not move.
            if not run.ended and run.cancel_requested_at is None
        }
        now = clock.now()
        # A locked step is reporting at this moment: the next tick takes it.
        steps = list(
            have_reports.select_for_update(skip_locked=True, no_key=True)
            .filter(run_id__in=list(runs), state__in=Step.ACTIVE)
            .defer("traceback", "kwargs", "checkpoint", "result", "after")
        )
        own = [step for step in steps if step.task_id not in foreign]
        _mirror_children([step for step in own if not step.is_mapped], now)
        add_up([step for step in own if step.is_mapped], now)
        values = [
            _apply_report(step, foreign[str(step.task_id)], now)
            for step in steps
            if step.task_id in foreign
        ]
        update_rows(Step, values, key="id")
        summaries = read_summaries(list(runs))
        changed = [runs[pk] for pk, shown in summaries.items() if _update_run(runs[pk], shown, now)]
        update_rows(Run, [_run_values(run) for run in changed], key="id")
        report_up(changed, now)
        update_rows(
            TaskResult,
            [_result_values(run, summaries[run.pk], now) for run in changed],
            key="task_id",
            unless=HAS_ENDED,
            skip_locked=True,
        )
    return len(changed)


def _mirror_children(steps: Sequence[Step], now: datetime) -> None:
    """Copy the reports of children to their own `TaskResult` rows. A child run has another one."""
    if steps:
        results.mirror_children([step for step in steps if not step.nested], now)
        ids = [step.pk for step in steps]
        # The rows are locked, so this is the report that was read.
        Step.objects.filter(pk__in=ids).update(mirrored_at=F("reported_at"), unmirrored_since=None)


def _apply_report(step: Step, report: Report, now: datetime) -> dict[str, Any]:
    step.pace, step.paced_since = pace_after(step, report.meta, report.at)
    step.set_meta(report.meta)
    # A foreign task may not claim its step: its first report shows that it runs.
    step.state, step.started_at = StepState.RUNNING, step.started_at or now
    step.reported_at = step.mirrored_at = report.at
    step.due_at = report.due_at
    names = ("id", "state", "started_at", "reported_at", "mirrored_at", "due_at", "iteration")
    more = ("total", "completion", "message", "pace", "paced_since")
    return {name: getattr(step, name) for name in (*names, *more)}


def _update_run(run: Run, steps: Summary, now: datetime) -> bool:
    """Update the run from its steps; return whether its state or meta changed."""
    before = (run.state, run.meta)
    run.state = run_state(RunState(run.state), steps)
    run.set_meta(run_meta(run.meta, steps))
    run.started_at = run.started_at or steps.started_at
    run.version += 1
    run.mirrored_at = now
    return (run.state, run.meta) != before


def _run_values(run: Run) -> dict[str, Any]:
    names = ("id", "state", "version", "started_at", "mirrored_at", "iteration", "total")
    return {name: getattr(run, name) for name in (*names, "completion", "message")}


def _result_values(run: Run, steps: Summary, now: datetime) -> dict[str, Any]:
    return {
        "task_id": str(run.pk),
        "status": run.state,
        "result": results.stored_result(run, getattr(steps.shown, "items", None)),
        "date_done": now,
    }
