"""Cancelling a run: what waits ends at once, what runs is asked to, and in the end made to."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from parent import results
from parent.advance import BY_ID, advance, lock_run
from parent.conf import setting
from parent.errors import RunEnded, UnknownRun
from parent.models import Event, Run, Step, StepState
from parent.rows import update_row

__all__ = ["cancel"]


def cancel(run_id: UUID | str, *, who: str = "", grace: float | None = None) -> Run:
    """Cancel a run. It ends REVOKED when its running children have ended.

    A child ends at its next report. One that has not done so `WORKFLOW_CANCEL_GRACE` seconds
    later is terminated on pools that can, and given up in any case.

    Args:
        who: the name of the user, for the run's history.
        grace: seconds, in place of the setting; also of a cancel that was asked for before.

    Raises:
        UnknownRun: there is none of that id.
        RunEnded: it has ended already.
    """
    with transaction.atomic():
        run, steps, now = lock_run(BY_ID, UUID(str(run_id)))
        if run is None:
            raise UnknownRun(f"There is no run {run_id}.")
        if run.ended:
            raise RunEnded(f"The run has ended already: it is {run.state}.")
        if run.cancel_requested_at is None:
            run.cancel_requested_at = now
            update_row(Run, {"cancel_requested_at": now}, id=run.pk)
            Event.objects.create(run=run, at=now, who=who, what="cancel")
        elif grace is None:
            return run
        grace = setting("CANCEL_GRACE") or 0.0 if grace is None else grace
        give_up_at = now + timedelta(seconds=grace)
        for step in steps:
            _cancel_step(step, now, give_up_at)
        # After the steps' rows were written: a report that holds one of them has its result in,
        # and the next finds none and asks.
        results.forget(step.task_id for step in steps if step.task_id)
        advance(run, steps, now)
    return run


def _cancel_step(step: Step, now: datetime, give_up_at: datetime) -> None:
    if step.state in (StepState.WAITING, StepState.QUEUED):
        was, step.state, step.finished_at, step.due_at = step.state, StepState.CANCELLED, now, None
        values = {"state": step.state, "finished_at": now, "due_at": None}
        if update_row(Step, values, id=step.pk, state=was):
            return
        step.state, step.finished_at = StepState.RUNNING, None  # claimed in between
    if step.state == StepState.RUNNING:
        step.due_at = give_up_at
        update_row(Step, {"due_at": give_up_at}, id=step.pk)
