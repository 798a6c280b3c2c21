"""`TaskResult` rows: what a Celery client reads about a run or a child.

Each UPDATE names its columns and has a condition. Celery's own `store_result` would overwrite every
column, and a late report would overwrite an outcome.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from celery import states
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from children.meta import Meta
from parent.models import Run, RunState

__all__ = [
    "create",
    "create_child",
    "delete",
    "stored_result",
    "update",
    "update_child",
]

JSON = {"content_type": "application/json", "content_encoding": "utf-8"}
DELETE_BATCH = 10_000
"""Ids in one statement: databases accept some ten thousand parameters."""
NO_CHILDREN = '{"children": []}'


def stored_result(run: Run) -> str:
    """The `TaskResult.result` of a run, as JSON.

    For a FAILURE Celery's clients need the type, message and module of an exception; they raise
    an error without it (`celery.backends.base.exception_to_python`).
    """
    value: Any
    match run.state:
        case RunState.SUCCESS:
            value = run.result
        case RunState.FAILURE:
            value = _exception("parent.errors", "RunFailed", run.error)
        case RunState.REVOKED:
            value = _exception("celery.exceptions", "TaskRevokedError", run.error)
        case _:
            value = run.meta.as_dict()
    return json.dumps(value)


def _exception(module: str, name: str, message: str | None) -> dict[str, Any]:
    return {"exc_module": module, "exc_type": name, "exc_message": [message]}


def create(run: Run, task_name: str) -> None:
    """Write the parent's row, so that clients find its id before any worker has the message."""
    # A row may exist: a worker that did not know the task of a client's `send_task` stored one.
    TaskResult.objects.update_or_create(
        task_id=str(run.pk),
        defaults={
            "task_name": task_name,
            "task_kwargs": json.dumps(repr(run.params)),
            "status": run.state,
            "result": stored_result(run),
            "traceback": None,
            "meta": NO_CHILDREN,
            **JSON,
        },
    )


def update(run: Run, now: datetime) -> bool:
    """Update the parent's row to the run's state; False if there is no such row."""
    values: dict[str, Any] = {"status": run.state, "result": stored_result(run)}
    if run.ended:
        # Only at the end: the column is indexed, and PostgreSQL writes to no index of the row as
        # long as no indexed column changes.
        values["date_done"] = now
    return bool(TaskResult.objects.filter(task_id=str(run.pk)).update(**values))


def update_child(task_id: str, meta: Meta) -> bool:
    """Overwrite a child's last report; False if it has no row, or has ended."""
    rows = TaskResult.objects.filter(task_id=task_id).exclude(status__in=states.READY_STATES)
    return bool(rows.update(status="PROGRESS", result=json.dumps(meta.as_dict()), date_done=Now()))


def create_child(task_id: str, task_name: str, meta: Meta) -> None:
    """Write a child's first report."""
    # A row may exist: a worker that did not know the task stored a failure.
    TaskResult.objects.update_or_create(
        task_id=task_id,
        defaults={
            "task_name": task_name,
            "status": "PROGRESS",
            "result": json.dumps(meta.as_dict()),
            "traceback": None,
            "meta": NO_CHILDREN,
            **JSON,
        },
    )
    # The model sets `date_done` by this machine's clock, but ticks use the database's.
    TaskResult.objects.filter(task_id=task_id).update(date_done=Now())


def delete(task_ids: Iterable[str]) -> None:
    """Delete the rows."""
    ids = list(task_ids)
    for start in range(0, len(ids), DELETE_BATCH):
        TaskResult.objects.filter(task_id__in=ids[start : start + DELETE_BATCH]).delete()
