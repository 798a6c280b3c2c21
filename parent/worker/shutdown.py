"""A worker that must stop gives back what it has not finished."""

import time
from uuid import UUID

from celery.utils.log import get_logger

from parent.models import Step, StepState
from parent.runs.attempts import RetryDecision
from parent.runs.endings import Ending, end_attempt
from parent.store.locks import is_locked
from parent.store.outage import OUTAGE
from parent.telemetry.log_context import about
from parent.telemetry.task_failure import send_task_failure
from parent.watch.queries import LARGE_RUN_FIELDS

__all__ = ["hand_back"]

logger = get_logger(__name__)

EXIT_DELAY = 1.0
"""Seconds from handing back until this process has surely exited."""
LOCK_WAIT = 2.0
"""Seconds that it waits for a run which another transaction holds. Later the lease lapses."""


def hand_back(executor_id: UUID) -> None:
    """End every attempt that this executor runs: a new one follows where the step has retries.

    The retry is not counted: that the code was deployed is no fault of the child's. It waits
    until a tick elsewhere publishes it, when this process is gone, and the old body with it.
    """
    running = Step.objects.filter(executor=executor_id, state=StepState.RUNNING)
    running = running.select_related("executor", "run").defer(
        "result", "input_override", *LARGE_RUN_FIELDS
    )
    steps = list(running)
    give_up_at = time.monotonic() + LOCK_WAIT
    while steps and time.monotonic() < give_up_at:
        steps = [step for step in steps if not _hand_back(step)]
        if steps:
            time.sleep(0.05)


def _hand_back(step: Step) -> bool:
    """False where another transaction holds its run: the child may be ending just now."""
    error = f"{step.name}: the worker {step.executor} was shut down while running it"
    with about(step):
        try:
            retry = RetryDecision(delay=EXIT_DELAY, counts=False)
            ending = end_attempt(str(step.task_id), step.meta.failed(error), retry=retry)
        except OUTAGE as exc:
            if is_locked(exc):
                return False
            raise
        if ending is Ending.RETRIED:
            logger.warning("%s[%s] is handed back to the queue", step.task, step.task_id)
        elif ending is Ending.ENDED:
            logger.warning("%s[%s] is given up: it allows no retry", step.task, step.task_id)
            send_task_failure(step, error)
    return True
