"""One turn of the watch loop: for everything that runs, at the price of what changed."""

import json
import time
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from parent import executors
from parent.advance import end_attempt, end_run
from parent.conf import setting
from parent.mirror import Report, mirror
from parent.models import Run, RunState, Step, StepState
from parent.publish import queue_of
from parent.republish import republish_runs, republish_steps
from parent.watch import End, Keep, Mirror, Republish, Stored, Watched, watch_once

__all__ = ["Ticker"]

BATCH = 1_000
OVERLAP = timedelta(seconds=2)
"""A report is stamped before it is committed; one that was slow is still found this much later."""
SWEEP_EVERY = 30.0
"""Seconds until all active steps are compared with their stored results, whatever the stamps."""


class Ticker:
    """The ticks of one executor. Only the holder of the watch lease does any work."""

    def __init__(self, executor_id: UUID) -> None:
        self._executor_id = executor_id
        self._seen_until: datetime | None = None
        self._sweep_at = 0.0

    def tick(self) -> bool:
        """Take one turn; False where another executor holds the watch lease.

        With nothing changed it is five statements, however many runs there are.
        """
        if not executors.hold_watch(self._executor_id):
            return False
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + SWEEP_EVERY
            self._seen_until = None
            executors.sweep()
        self._take_reports()
        self._look_at_due_steps()
        self._look_at_due_runs()
        self._take_from_the_dead()
        return True

    def _take_reports(self) -> None:
        """Mirror what children reported, and end what ended without telling us."""
        rows = {row.task_id: row for row in self._changed_results()}
        reports: dict[str, Report] = {}
        for step in _active().filter(task_id__in=list(rows)) if rows else ():
            row = rows[str(step.task_id)]
            verdict = watch_once(watched(step), stored(row), step.db_now)
            match verdict:
                case End(outcome):
                    end_attempt(row.task_id, outcome, row.traceback)
                case Mirror(meta, due_at):
                    reports[row.task_id] = Report(meta=meta, at=row.date_done, due_at=due_at)
                case Keep(due_at) if step.state == StepState.RUNNING:
                    # The same again still says that the child is alive.
                    reports[row.task_id] = Report(meta=step.meta, at=row.date_done, due_at=due_at)
        if reports:
            mirror(reports)

    def _changed_results(self) -> list[TaskResult]:
        """The stored results of active steps that are newer than what was mirrored of them."""
        newer = Q(reported_at=None) | Q(reported_at__lt=OuterRef("date_done"))
        active = Step.objects.filter(newer, task_id=OuterRef("task_id"), state__in=Step.ACTIVE)
        rows = TaskResult.objects.filter(Exists(active)).order_by("date_done")
        if self._seen_until is not None:
            rows = rows.filter(date_done__gt=self._seen_until - OVERLAP)
        found = list(rows[:BATCH])
        if found:
            self._seen_until = found[-1].date_done
        return found

    def _look_at_due_steps(self) -> None:
        """Deadlines, and messages that may be lost."""
        silent: list[Step] = []
        for step in _active().filter(due_at__lte=Now()).order_by("due_at")[:BATCH]:
            match watch_once(watched(step), None, step.db_now):
                case End(outcome):
                    end_attempt(str(step.task_id), outcome)
                case Republish():
                    silent.append(step)
                case Keep(due_at) | Mirror(_, due_at):
                    Step.objects.filter(pk=step.pk, task_id=step.task_id).update(due_at=due_at)
        if silent:
            republish_steps(silent)

    def _look_at_due_runs(self) -> None:
        """Parents that have not started, and runs that have passed their deadline."""
        due = Run.objects.filter(due_at__lte=Now()).annotate(db_now=Now()).order_by("due_at")
        silent: list[Run] = []
        for run in due[:BATCH]:
            error = overdue(run, run.db_now)
            if error is not None:
                end_run(run.pk, error)
            elif run.state == RunState.PENDING:
                silent.append(run)
        if silent:
            republish_runs(silent)

    def _take_from_the_dead(self) -> None:
        """End the attempts of executors whose lease has lapsed."""
        dead = Now() - executors.lease()
        for step in _active().filter(state=StepState.RUNNING, executor__heartbeat_at__lt=dead)[
            :BATCH
        ]:
            verdict = watch_once(watched(step, dead=True), None, step.db_now)
            if isinstance(verdict, End):
                end_attempt(str(step.task_id), verdict.outcome)


def _active() -> "QuerySet[Any]":
    steps = Step.objects.filter(state__in=Step.ACTIVE).select_related("executor")
    return steps.defer("traceback").annotate(db_now=Now())


def watched(step: Step, *, dead: bool = False) -> Watched:
    """The row as the watch sees it."""
    return Watched(
        name=step.name,
        queue=queue_of(step),
        queued_at=step.queued_at or step.run.created_at,
        started_at=step.started_at,
        reported_at=step.reported_at,
        publish_at=step.due_at,
        queue_timeout=step.queue_timeout,
        run_timeout=step.run_timeout,
        stall_timeout=step.stall_timeout,
        dead_executor=str(step.executor) if dead else None,
        meta=step.meta,
    )


def stored(row: TaskResult) -> Stored:
    """The stored result, decoded; what cannot be decoded is passed on as the text it is."""
    try:
        result = json.loads(row.result) if row.result else None
    except (ValueError, RecursionError):
        result = row.result
    return Stored(state=row.status, result=result, at=row.date_done)


def overdue(run: Run, now: datetime) -> str | None:
    """Why a run must end now, or None."""
    if run.deadline_at is not None and now >= run.deadline_at:
        allowed = (run.deadline_at - run.created_at).total_seconds()
        return f"{run.workflow} did not finish within {allowed:g} s"
    limit = setting("QUEUE_TIMEOUT")
    if run.state == RunState.PENDING and limit and now >= run.created_at + timedelta(seconds=limit):
        return (
            f"{run.workflow} did not start within {limit:g} s: "
            f'is a worker consuming queue "{queue_of(run)}"?'
        )
    return None
