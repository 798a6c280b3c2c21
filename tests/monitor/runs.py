"""Real runs for the tests of the API, advanced as a worker would."""

from typing import Any
from uuid import UUID

from celery import current_app

from children.errors import AttemptLost
from children.meta import Meta
from parent.messages.publish import attempt_header
from parent.models import Run, Step
from parent.worker.running_attempt import RunningAttempt

__all__ = ["claimed", "fail", "finish", "report", "result_of", "states", "step"]


def step(run: Run, name: str) -> Step:
    """The current row of a run's step."""
    return Step.objects.get(run=run, name=name)


def states(run: Run) -> list[str]:
    """The states of the run's steps."""
    return list(run.steps.order_by("index").values_list("state", flat=True))


def claimed(run: Run, name: str) -> RunningAttempt:
    """Start the step's attempt, and return it."""
    row = step(run, name)
    attempt = RunningAttempt(str(row.task_id), attempt_header(row))
    assert attempt.claim()
    return attempt


def finish(run: Run, name: str, result: Any = None) -> None:
    """End the step with success."""
    claimed(run, name).finish(Meta().ok(result))


def fail(run: Run, name: str, error: str = "it is broken") -> None:
    """End the step with an error."""
    claimed(run, name).finish(Meta().failed(error))


def report(attempt: RunningAttempt) -> bool:
    """Report as a child's body does. Returns False if the attempt was lost and has ended."""
    try:
        attempt.report(Meta.at(1, 2))
    except AttemptLost:
        attempt.abandon()
        return False
    return True


def result_of(run_id: UUID) -> Any:
    """The run's result as a Celery client reads it."""
    return current_app.AsyncResult(str(run_id))
