"""Cancelling a run: what waits ends at once, what runs is asked to, and in the end made to."""

from datetime import timedelta
from uuid import UUID

from django.db import transaction

from parent.conf import setting
from parent.errors import RunEnded, UnknownRun
from parent.models import Event, Run, Step, StepState
from parent.runs.advance import advance
from parent.store import results
from parent.store.run_rows import lock_run_alone, steps_of

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
        locked = lock_run_alone(UUID(str(run_id)))
        if locked is None:
            raise UnknownRun(f"There is no run {run_id}.")
        run, now = locked.run, locked.now
        if run.ended:
            raise RunEnded(f"The run has ended already: it is {run.state}.")
        if run.cancel_requested_at is None:
            run.cancel_requested_at = now
            run.save(update_fields=["cancel_requested_at"])
            Event.objects.create(run=run, at=now, who=who, what="cancel")
        elif grace is None:
            return run
        grace = setting("CANCEL_GRACE") or 0.0 if grace is None else grace
        steps = Step.objects.filter(run=run)
        waiting = steps.filter(state__in=(StepState.WAITING, StepState.QUEUED))
        waiting.update(state=StepState.CANCELLED, finished_at=now, due_at=None)
        # Those claimed in between, too.
        steps.filter(state=StepState.RUNNING).update(due_at=now + timedelta(seconds=grace))
        rows = steps_of(run)
        # After the steps' rows were written: a report that holds one of them has its result in,
        # and the next finds none and asks.
        results.delete(step.task_id for step in rows if step.task_id)
        advance(run, rows, now)
    return run
