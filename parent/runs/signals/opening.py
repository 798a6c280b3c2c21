"""Opening a step that waits for something from outside, and what its outcome is."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from children.meta import Meta
from children.sanitize import clean_text
from parent.models import Awaits, ReceivedSignal, Run, Step, StepState
from parent.runs.attempts import clear_attempt

__all__ = ["APPROVE", "REJECT", "late_text", "open_awaited", "outcome_of"]

APPROVE, REJECT = "approve", "reject"
MESSAGES = {Awaits.SIGNAL: "waits for this signal", Awaits.APPROVAL: "waits for an approval"}


def open_awaited(run: Run, step: Step, now: datetime) -> None:
    """Let the step wait, in memory: RUNNING with a task id as its fence, and nothing else.

    What has come before makes it OK at once, or an ERROR if that was a rejection.
    """
    clear_attempt(step)
    step.state, step.task_id = StepState.RUNNING, str(uuid4())
    step.attempt += 1
    step.publish_count = 0
    step.queued_at = step.started_at = now
    step.message = MESSAGES[Awaits(step.awaits)]
    if step.run_timeout:
        step.due_at = now + timedelta(seconds=step.run_timeout)
    # Nothing can have come for a run that is not written yet.
    came = None if run._state.adding else _received(run, step)
    if came is not None and came.key:
        came = None  # it feeds a step, until it is closed
    if came is not None:
        outcome = outcome_of(step, came)
        step.set_meta(outcome)
        step.state = StepState.OK if outcome.error is None else StepState.ERROR
        step.finished_at, step.due_at = now, None


def _received(run: Run, step: Step) -> ReceivedSignal | None:
    return ReceivedSignal.objects.filter(run=run, name=step.name).first()


def outcome_of(step: Step, came: ReceivedSignal) -> Meta:
    """The outcome of the step, by what was given. A rejection is an error that says who and why."""
    values: dict[str, Any] = came.values
    if step.awaits == Awaits.SIGNAL:
        return Meta().ok(values)
    if values["decision"] == APPROVE:
        return Meta(message=_said("approved", came)).ok({**values, "who": came.who})
    return Meta().failed(f"{step.name} was {_said('rejected', came)}")


def _said(verb: str, came: ReceivedSignal) -> str:
    by = f" by {came.who}" if came.who else ""
    why = f": {came.values['comment']}" if came.values["comment"] else ""
    return clean_text(f"{verb}{by}{why}")


def late_text(step: Step) -> str:
    """That nothing came in time."""
    return f"{step.name} did not come within {step.run_timeout:g} s"
