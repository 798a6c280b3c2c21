"""What a worker's main process tells a process of its pool about children without messages.

Celery's time limits, rate limits and `worker_max_tasks_per_child` count messages. A child that one
of them concerns needs a message of its own.
"""

from typing import Any

from celery import bootsteps, signals

from children.worker import stop_flag

__all__ = ["TermsStep", "terms_of"]

_worker: Any = None


class TermsStep(bootsteps.StartStopStep):
    """Knows the worker's limits, and tells its processes when it stops."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        global _worker  # noqa: PLW0603 - one worker per process
        _worker = worker
        stop_flag.share()  # all steps are made before the pool forks
        signals.worker_shutting_down.connect(_on_shutting_down)

    def stop(self, worker: Any) -> None:  # noqa: ARG002
        """Celery calls this also for a shutdown by remote control, which sends no signal."""
        stop_flag.set_stopping()


def _on_shutting_down(**_: Any) -> None:
    stop_flag.set_stopping()


def terms_of(request: Any) -> dict[str, Any] | None:
    """What goes along with this message to a process of the pool; None if no child may follow.

    Remote control changes the limits of tasks in the worker's main process only.
    """
    worker, task = _worker, request.task
    if worker is None or worker.max_tasks_per_child:
        return None
    limits = (*request.time_limits, task.time_limit, task.soft_time_limit)
    if any((*limits, worker.time_limit, worker.soft_time_limit)):
        return None  # it counts from the start of the message, and would end a follower
    excluded = [
        other.name
        for other in request.app.tasks.values()
        if other.rate_limit or other.time_limit or other.soft_time_limit
    ]
    eventer = request.eventer
    return {"excluded": excluded, "events": bool(eventer and eventer.enabled)}
