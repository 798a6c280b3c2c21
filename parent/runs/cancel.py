"""Cancelling a run: waiting steps end at once; running steps end at a report, or by force."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from parent.conf import setting
from parent.decisions.plan import NOTHING, plan
from parent.errors import RunEnded, UnknownRun
from parent.models import Event, Item, Run, RunState, Step, StepState
from parent.runs.advance import advance
from parent.runs.concurrency.shared_limits import begin_next_after_commit
from parent.runs.endings import bring_up_after_commit, end_step
from parent.runs.items.bulk import cancel_items
from parent.runs.nested.cancelling import cancel_runs
from parent.runs.nested.of_items import lock_opening
from parent.store import results
from parent.store.run_rows import Locked, lock_run, lock_run_row, run_key, steps_of
from parent.store.writes.update import write

__all__ = ["cancel", "end_if_nothing_runs"]


def _cancel_mapped(run: Run, now: datetime, end_at: datetime, who: str) -> None:
    """Cancel the items that have not begun, and the steps none of whose items runs."""
    for step in Step.objects.filter(run=run, state=StepState.RUNNING, chunk__isnull=False):
        step.run = run
        if step.nested:
            lock_opening([step.pk])
        cancel_items(step, now)
        running = Item.objects.filter(step=step, state=StepState.RUNNING)
        if step.nested:
            inside = list(running.values_list("child_run_id", flat=True))
            cancel_runs(inside, now, end_at, who)
            goes_on = bool(inside)
        else:
            goes_on = bool(running.update(due_at=end_at))
        if not goes_on:
            outcome = step.meta.failed(f"{step.name} was cancelled")
            end_step(step, outcome, "", now, StepState.CANCELLED)


def cancel(run_id: UUID | str, *, who: str = "", grace: float | None = None) -> Run:
    """Cancel a run, and its child runs. It ends REVOKED when its running children have ended.

    A child ends at its next report. After `WORKFLOW_CANCEL_GRACE` seconds a child that has not
    ended is terminated, on pools that can do that, and its step ends in any case.

    Args:
        who: the name of the user, for the run's history.
        grace: seconds, in place of the setting; 0 ends the running steps at the next tick. On a
            run whose cancel was already requested it changes the time.

    Raises:
        UnknownRun: no run has that id.
        RunEnded: the run has ended already.
    """
    with transaction.atomic():
        locked = lock_run_row(run_key(run_id))
        if locked is None:
            raise UnknownRun(f"There is no run {run_id}.")
        if locked.run.ended:
            raise RunEnded(f"The run has ended already: it is {locked.run.state}.")
        _cancel_locked(locked, who, grace)
        bring_up_after_commit(locked.run)
    return locked.run


def _cancel_locked(locked: Locked, who: str, grace: float | None) -> None:
    run, now = locked.run, locked.now
    given = grace
    if run.cancel_requested_at is None:
        run.cancel_requested_at = now
        write([run], ["cancel_requested_at"])
        Event.objects.create(run=run, at=now, who=who, what="cancel")
    elif grace is None:
        return
    grace = setting("CANCEL_GRACE") or 0.0 if grace is None else grace
    end_at = now + timedelta(seconds=grace)
    steps = Step.objects.filter(run=run)
    waits = Q(state__in=(StepState.WAITING, StepState.QUEUED))
    waits |= Q(state=StepState.RUNNING) & ~Q(awaits="")
    steps.filter(waits).update(state=StepState.CANCELLED, finished_at=now, due_at=None)
    for names in steps.filter(limits__isnull=False).values_list("limits", flat=True):
        begin_next_after_commit(names)
    # Includes steps that were claimed since the statement before.
    steps.filter(state=StepState.RUNNING, nested=False).update(due_at=end_at)
    _cancel_mapped(run, now, end_at, who)
    _cancel_children(run, now, who, given)
    rows = steps_of(run)
    results.delete(step.task_id for step in rows if step.task_id)
    advance(run, rows, now)


def _cancel_children(run: Run, now: datetime, who: str, grace: float | None) -> None:
    """Cancel the child runs. The steps end with them: at once where nothing of a run is running."""
    nested = Step.objects.filter(run=run, state=StepState.RUNNING, nested=True, chunk=None)
    for step in nested:
        step.run = run
        locked = lock_run_row(step.child_run_id) if step.child_run_id else None
        if locked is not None and not locked.run.ended:
            _cancel_locked(locked, who, grace)
            if locked.run.state != RunState.REVOKED:
                bring_up_after_commit(locked.run)
                continue
            Run.objects.filter(pk=locked.run.pk).update(due_at=None)
        elif locked is not None:
            continue  # its end is about to come up
        outcome = step.meta.failed(f"{step.name} was cancelled")
        end_step(step, outcome, "", now, StepState.CANCELLED)


def end_if_nothing_runs(run_id: Any) -> None:
    """End a run that was cancelled together with many others, if nothing in it runs any more.

    Otherwise it ends with what runs, and is not due until its deadline.
    """
    with transaction.atomic():
        locked = lock_run(run_id)
        if locked is None or locked.run.ended or locked.run.cancel_requested_at is None:
            return
        run, steps, now, _ = locked
        Run.objects.filter(pk=run.pk).update(due_at=run.deadline_at)
        over = [step for step in steps if step.state == StepState.CANCELLED and step.task_id]
        results.delete(str(step.task_id) for step in over)
        if plan(steps, cancelled=True) != NOTHING:
            advance(run, steps, now)
        bring_up_after_commit(run)
