"""Telling Celery's listeners of failures that no task has raised.

What a child raises, and the death of its process, Celery tells of itself, by `task_failure`: so
tools such as Sentry hear of it. Of a limit that has passed, or a whole worker that died, only the
engine knows.
"""

from collections.abc import Mapping
from typing import Any

from billiard.einfo import ExceptionInfo
from celery import current_app, signals

from parent.definition.parent_task import parent_task_name
from parent.errors import EndedByEngine
from parent.models import Run, Step

__all__ = ["send_task_failure"]


def send_task_failure(row: Step | Run, error: str) -> None:
    """Send `task_failure`, in place of the task. What a listener raises Celery logs."""
    if isinstance(row, Run):
        _send(parent_task_name(row.workflow), str(row.pk), row.params, error)
    else:
        _send(row.task, str(row.task_id), row.kwargs or {}, error)


def _send(name: str, task_id: str, kwargs: Mapping[str, Any], error: str) -> None:
    try:
        raise EndedByEngine(error)
    except EndedByEngine as exc:
        signals.task_failure.send(
            # As Celery does; only a worker that does not know the task has just its name.
            sender=current_app.tasks.get(name, name),
            task_id=task_id,
            exception=exc,
            args=(),
            kwargs=dict(kwargs),
            traceback=exc.__traceback__,
            einfo=ExceptionInfo(),
        )
