"""Send Celery's `task_failure` signal for failures that no task raised.

Celery itself sends it when a child raises or its process dies, and tools such as Sentry listen to
it. Only the engine knows of a limit that has passed or of a worker that died.
"""

from collections.abc import Mapping
from typing import Any

from billiard.einfo import ExceptionInfo
from celery import current_app, signals

from parent.definition.parent_task import parent_task_name
from parent.errors import EndedByEngine
from parent.models import Item, Run, Step

__all__ = ["send_task_failure"]


def send_task_failure(row: Step | Item | Run, error: str) -> None:
    """Send `task_failure` in place of the task. Celery logs what a receiver raises."""
    if isinstance(row, Run):
        _send(parent_task_name(row.workflow), str(row.pk), row.params, error)
    else:
        _send(row.task, str(row.task_id), row.kwargs or {}, error)


def _send(name: str, task_id: str, kwargs: Mapping[str, Any], error: str) -> None:
    try:
        raise EndedByEngine(error)
    except EndedByEngine as exc:
        signals.task_failure.send(
            # The task, as Celery sends; just its name if this worker does not know the task.
            sender=current_app.tasks.get(name, name),
            task_id=task_id,
            exception=exc,
            args=(),
            kwargs=dict(kwargs),
            traceback=exc.__traceback__,
            einfo=ExceptionInfo(),
        )
