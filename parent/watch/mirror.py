"""Copy children's reports to their steps, their runs and the parents' `TaskResult` rows.

It takes the same few statements, in one transaction, for any number of children.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django_celery_results.models import TaskResult

from children.meta import Meta
from parent.decisions.plan import Summary, run_meta, run_state
from parent.decisions.step_pace import pace_after
from parent.models import Run, RunState, Step, StepState
from parent.store import clock
from parent.store.results import stored_result
from parent.store.run_summaries import read_summaries
from parent.store.writes import update_rows

__all__ = ["Report", "mirror"]

HAS_ENDED = "t.status IN ('SUCCESS', 'FAILURE', 'REVOKED')"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What one child reported, and when a tick must check it next."""

    meta: Meta
    at: datetime
    due_at: datetime | None


def mirror(reports: Mapping[str, Report], stale_runs: Collection[UUID] = ()) -> int:
    """Copy reports to their steps and runs; return how many runs changed.

    A locked run is being updated by a child that finishes. It is left to the next tick.

    Args:
        reports: by the child's task id.
        stale_runs: ids of more runs whose rows must be updated from their steps.
    """
    has_reports = Q(pk__in=Step.objects.filter(task_id__in=list(reports)).values("run_id"))
    with transaction.atomic():
        # Lock all runs before writing anything, so that two transactions never wait for each
        # other (deadlock).
        runs = {
            run.pk: run
            for run in Run.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(has_reports | Q(pk__in=list(stale_runs)) if stale_runs else has_reports)
            .defer("params", "files", "result")
            # A cancelled run shows no more progress, and its `due_at` must not move.
            if not run.ended and run.cancel_requested_at is None
        }
        now = clock.now()
        reporting = Step.objects.filter(
            run_id__in=list(runs), task_id__in=list(reports), state__in=Step.ACTIVE
        ).defer("traceback", "kwargs", "result")
        step_values = [_apply_report(step, reports[str(step.task_id)], now) for step in reporting]
        update_rows(Step, step_values, key="id", skip_locked=True)
        summaries = read_summaries(list(runs))
        changed = [runs[pk] for pk, steps in summaries.items() if _update_run(runs[pk], steps, now)]
        update_rows(Run, [_run_values(run) for run in changed], key="id")
        update_rows(
            TaskResult,
            [_result_values(run, now) for run in changed],
            key="task_id",
            unless=HAS_ENDED,
            skip_locked=True,
        )
    return len(changed)


def _apply_report(step: Step, report: Report, now: datetime) -> dict[str, Any]:
    step.pace, step.paced_since = pace_after(step, report.meta, report.at)
    step.set_meta(report.meta)
    # A foreign task may not claim its step: its first report shows that it runs.
    step.state, step.started_at = StepState.RUNNING, step.started_at or now
    step.reported_at, step.due_at = report.at, report.due_at
    names = ("id", "state", "started_at", "reported_at", "due_at", "iteration", "total")
    more = ("completion", "message", "pace", "paced_since")
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


def _result_values(run: Run, now: datetime) -> dict[str, Any]:
    return {
        "task_id": str(run.pk),
        "status": run.state,
        "result": stored_result(run),
        "date_done": now,
    }
