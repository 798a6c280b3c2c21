"""On shutdown a worker hands back the attempts that it has not finished, and ends."""

import os
import threading
import time
from uuid import UUID

from celery.utils.log import get_logger

from parent.models import IS_ACTIVE, Item, Step, StepState
from parent.runs.automatic_retry import RetryDecision
from parent.runs.endings import Ending
from parent.runs.items.end_of_item import end_of
from parent.store.locks import is_locked
from parent.store.outage import OUTAGE
from parent.telemetry.log_context import about
from parent.telemetry.task_failure import send_task_failure
from parent.watch.queries import LARGE_RUN_FIELDS

__all__ = ["end_despite_threads", "hand_back"]

logger = get_logger(__name__)

EXIT_DELAY = 1.0
"""Seconds until this process has exited for sure: the delay of the retry."""
LOCK_WAIT = 2.0
"""Seconds to wait for runs locked by others. Attempts that remain end when the lease expires."""

THREADS_END_WITHIN = 5.0
"""Seconds for threads that bodies have left in this process, once the worker has stopped."""


def end_despite_threads() -> None:
    """Exit in a moment, whatever threads bodies have left here.

    Python waits at its end for all that are not daemons, for ever if they do not end. The processes
    of a pool do not.
    """
    threading.Thread(target=_exit_despite_threads, name="exit", daemon=True).start()


def _exit_despite_threads() -> None:
    give_up_at = time.monotonic() + THREADS_END_WITHIN
    here = {threading.current_thread(), threading.main_thread()}
    threads = [each for each in threading.enumerate() if each not in here and not each.daemon]
    for thread in threads:
        thread.join(max(0.0, give_up_at - time.monotonic()))
    if left := ", ".join(sorted(thread.name for thread in threads if thread.is_alive())):
        logger.warning("exiting: threads that bodies have left do not end: %s", left)
        os._exit(0)


def hand_back(executor_id: UUID) -> None:
    """End every attempt that this executor runs; requeue those whose step allows retries.

    The retry does not count against the step's limit: a deploy is not the child's failure. It is
    published by another worker's tick, after this process, and the old body in it, has exited.
    """
    running = Step.objects.filter(IS_ACTIVE, executor=executor_id, state=StepState.RUNNING)
    running = running.select_related("executor", "run").defer(
        "result", "input_override", *LARGE_RUN_FIELDS
    )
    items = Item.objects.filter(IS_ACTIVE, executor=executor_id, state=StepState.RUNNING)
    items = items.select_related("executor", "step", "step__run").defer("result", "checkpoint")
    steps: list[Step | Item] = [*running, *items]
    give_up_at = time.monotonic() + LOCK_WAIT
    while steps and time.monotonic() < give_up_at:
        steps = [step for step in steps if not _hand_back(step)]
        if steps:
            time.sleep(0.05)


def _hand_back(step: Step | Item) -> bool:
    """Return False if another transaction locks the run: the child may just be ending."""
    error = f"{step.name}: the worker {step.executor} was shut down while running it"
    with about(step):
        try:
            retry = RetryDecision(delay=EXIT_DELAY, counts=False)
            end = end_of(step)
            ending = end(str(step.task_id), step.meta.failed(error), retry=retry)
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
