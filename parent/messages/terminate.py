"""Ask the worker that runs an attempt to kill its process."""

from celery import current_app
from celery.utils.log import get_logger

from parent.models import Item, Step
from parent.telemetry.log_context import about

__all__ = ["COMMAND", "terminate"]

logger = get_logger(__name__)

POOLS = ("prefork",)
"""Pools that can kill a running task. A thread cannot be killed."""

COMMAND = "workflow_terminate"
"""The remote control command; `parent.worker.pool` carries it out."""


def terminate(step: Step | Item) -> None:
    """Have the process of this attempt killed, if its pool can do that.

    The pool replaces the process. Even if this fails, the attempt no longer counts.
    """
    if step.executor is None or step.executor.pool not in POOLS:
        return
    try:
        current_app.control.broadcast(COMMAND, arguments={"task_id": step.carrier_id})
    except Exception as exc:  # each transport raises errors of its own
        with about(step):
            logger.warning(
                "broker: %s; %s was not terminated: it runs on, but no longer counts",
                exc,
                step.task_id,
            )
