"""A worker that must stop gives back what it has not finished."""

from uuid import UUID

from celery.utils.log import get_logger

from parent.attempts import Again
from parent.endings import Ending, end_attempt
from parent.failures import tell
from parent.log_context import about
from parent.models import Step, StepState

__all__ = ["hand_back"]

logger = get_logger(__name__)

GONE_AFTER = 1.0
"""Seconds from handing back until this process has surely exited."""


def hand_back(executor_id: UUID) -> None:
    """End every attempt that this executor runs: a new one follows where the step has retries.

    The retry is not counted: that the code was deployed is no fault of the child's. It waits
    until a tick elsewhere publishes it, when this process is gone, and the old body with it.
    """
    running = Step.objects.filter(executor=executor_id, state=StepState.RUNNING)
    for step in running.select_related("executor", "run"):
        error = f"{step.name}: the worker {step.executor} was shut down while running it"
        outcome = step.meta.failed(error)
        with about(step):
            ending = end_attempt(
                str(step.task_id), outcome, again=Again(delay=GONE_AFTER, counts=False)
            )
            if ending is Ending.RETRIED:
                logger.warning("%s[%s] is handed back to the queue", step.task, step.task_id)
            elif ending is Ending.ENDED:
                logger.warning("%s[%s] is given up: it allows no retry", step.task, step.task_id)
                tell(step, error)
