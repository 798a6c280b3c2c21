"""The tasks that this worker's pool runs: look one up, or kill its process."""

from typing import Any

from celery.utils.log import get_logger
from celery.worker import state as worker_state
from celery.worker.control import control_command

from parent.messages.terminate import COMMAND
from parent.telemetry.log_context import about_message

__all__ = ["is_running"]

logger = get_logger(__name__)


def is_running(task_id: str) -> bool:
    """Whether this worker's pool is running this attempt's message."""
    while True:
        try:
            return any(request.id == task_id for request in list(worker_state.active_requests))
        except RuntimeError:  # another thread has just added one
            continue


@control_command(name=COMMAND)
def _terminate_here(state: Any, task_id: str) -> None:
    """Kill the process that runs the task, if this worker runs it.

    Celery's own `revoke` will not do: each worker that does not run the task stores REVOKED as its
    result (celery 5.7), and nobody would delete that row.
    """
    request = worker_state.requests.get(task_id)
    if request is not None:
        with about_message(request.request_dict):
            logger.info("terminating %s", task_id)
        request.terminate(state.consumer.pool, signal="SIGKILL")
