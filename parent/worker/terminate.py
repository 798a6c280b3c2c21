"""What this worker's pool runs, and ending the process of a child that does not end by itself."""

from typing import Any

from celery import current_app
from celery.utils.log import get_logger
from celery.worker import state as worker_state
from celery.worker.control import control_command

from parent.models import Step
from parent.telemetry.log_context import about, about_message

__all__ = ["is_running", "terminate"]

logger = get_logger(__name__)

POOLS = ("prefork",)
"""Those that can: a thread cannot be ended from outside."""

COMMAND = "workflow_terminate"


def terminate(step: Step) -> None:
    """Kill the process that runs this attempt, where its pool can.

    The pool replaces it. Whether it succeeds or not, the attempt no longer counts.
    """
    if step.executor is None or step.executor.pool not in POOLS:
        return
    try:
        current_app.control.broadcast(COMMAND, arguments={"task_id": str(step.task_id)})
    except Exception as exc:  # what a transport raises is the transport's own affair
        with about(step):
            logger.warning("broker: %s; %s runs on, and no longer counts", exc, step.task_id)


def is_running(task_id: str) -> bool:
    """Whether a process of this worker's pool has this attempt's message in hand."""
    while True:
        try:
            return any(request.id == task_id for request in list(worker_state.active_requests))
        except RuntimeError:  # another thread added one meanwhile
            continue


@control_command(name=COMMAND)
def _terminate_here(state: Any, task_id: str) -> None:
    """Celery's own `revoke` will not do: each worker that does not run the task stores REVOKED
    as its result (celery 5.7), a row that nobody would delete.
    """
    request = worker_state.requests.get(task_id)
    if request is not None:
        with about_message(request.request_dict):
            logger.info("terminating %s", task_id)
        request.terminate(state.consumer.pool, signal="SIGKILL")
