"""The log context: the run, and if there is one the step and its attempt.

The log formatter adds it to each line (`structlog.contextvars`).
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from celery import signals
from structlog.contextvars import bind_contextvars, bound_contextvars, reset_contextvars

from children import host
from parent.definition.parent_task import ParentTask
from parent.models import Item, Run, Step

__all__ = ["about", "about_message", "connect_first", "connect_last"]

NAMES = ("run", "workflow", "step", "attempt")


def about(row: Run | Step | Item) -> AbstractContextManager[None]:
    """Add the row's run, workflow, step and attempt to all log lines in this context."""
    if isinstance(row, Run):
        return bound_contextvars(run=str(row.pk), workflow=row.workflow)
    return bound_contextvars(
        run=str(row.run_id), workflow=row.run.workflow, step=row.name, attempt=row.attempt
    )


def about_message(headers: Mapping[str, Any] | None) -> AbstractContextManager[None]:
    """Add the attempt in a message's headers, if any, to all log lines in this context."""
    return bound_contextvars(**_named(headers))


def _named(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    header = (headers or {}).get(host.HEADER) or {}
    return {name: header[name] for name in NAMES if name in header}


def connect_first() -> None:
    """Connect the receiver that sets the log context. Call before all other receivers."""
    signals.task_prerun.connect(_on_prerun, dispatch_uid="parent.telemetry.log_context.prerun")


def connect_last() -> None:
    """Connect the receiver that resets it. Call last: receivers run in order of connection."""
    signals.task_postrun.connect(_on_postrun, dispatch_uid="parent.telemetry.log_context.postrun")


def _on_prerun(task_id: str, task: Any, **_: Any) -> None:
    if isinstance(task, ParentTask):
        named = {"run": task_id, "workflow": task.workflow.name}
    else:
        named = _named(task.request.headers)
    task.request.log_context = bind_contextvars(**named)


def _on_postrun(task: Any, **_: Any) -> None:
    reset_contextvars(**task.request.__dict__.pop("log_context", {}))
