"""`TaskResult` rows: what a Celery client reads about a run or a child.

A run has one from its start. A child has one from the first tick after a report until its end, or
none if it is shorter. Celery's own `store_result` is not used: it would overwrite every column.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from celery import current_app
from celery.app.backends import by_url
from celery.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.models import CharField, Exists, OuterRef, QuerySet, Value
from django.db.models.functions import Cast, Replace
from django_celery_results.backends import DatabaseBackend
from django_celery_results.managers import TaskResultManager
from django_celery_results.models import TaskResult

from children.sanitize import one_line
from parent.models import Run, RunState, Step
from parent.setting_names import has_own_app, in_celery
from parent.store.writes.insert import prepare_insert
from parent.store.writes.update import update_rows

__all__ = [
    "backend_hint",
    "backend_problem",
    "create",
    "delete",
    "keep_from_cleanup",
    "mirror_children",
    "prepare_create",
    "stored_result",
    "update",
]

ALL_EXPIRED: Any = TaskResultManager.get_all_expired
"""The library's own, before `keep_from_cleanup`."""

JSON = {"content_type": "application/json", "content_encoding": "utf-8"}
DELETE_BATCH = 10_000
"""Ids in one statement: databases accept some ten thousand parameters."""
NO_CHILDREN = '{"children": []}'
WRITTEN_AGAIN = ("task_name", "status", "result", "date_done", "traceback")
"""What is written also where a row exists."""


def backend_hint() -> str:
    """What to write in place of such a setting."""
    if not has_own_app():
        return (
            "Your Celery app, which reads your settings, is not loaded here: write `from "
            "proj.celery import app` into proj/__init__.py, with the package of your settings in "
            "place of proj."
        )
    return f'Write {in_celery("result_backend")} = "django-db".'


def backend_problem(backend: str | None) -> str | None:
    """What is wrong with this setting of Celery's result backend; None if it stores these rows."""
    try:
        found: Any = by_url(backend, current_app.loader)
    except (ImportError, ImproperlyConfigured) as exc:
        return f"Celery's result backend {backend!r} cannot be used: {exc}"
    if issubclass(found[0], DatabaseBackend):
        return None
    return (
        f"Celery's result backend is {backend!r}, where no state of a run is stored: `.get()` "
        "would wait for ever."
    )


def stored_result(run: Run, items: Mapping[str, int] | None = None) -> str:
    """The `TaskResult.result` of a run, as JSON.

    While a mapped step is what the run shows, `items` are its counters, beside the run's meta.

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
            value = run.meta.as_dict() | ({} if items is None else {"items": items})
    return json.dumps(value)


def _exception(module: str, name: str, message: str | None) -> dict[str, Any]:
    told = None if message is None else one_line(message)
    return {"exc_module": module, "exc_type": name, "exc_message": [told]}


def create(run: Run, task_name: str) -> None:
    """Write the parent's row, so that clients find its id before any worker has the message."""
    prepare_create([run], task_name)()


def prepare_create(runs: Sequence[Run], task_name: str) -> Callable[[], None]:
    """A function that writes the rows of these runs of one workflow; see `create`."""
    # A row may exist: a worker that did not know the task of a client's `send_task` stored one.
    rows = [
        TaskResult(
            task_id=str(run.pk),
            task_name=task_name,
            task_kwargs=json.dumps(repr(run.params)),
            status=run.state,
            result=stored_result(run),
            date_created=run.created_at,
            date_done=run.finished_at or run.created_at,
            meta=NO_CHILDREN,
            **JSON,
        )
        for run in runs
    ]
    columns = [*WRITTEN_AGAIN, *JSON, "task_kwargs", "meta"]
    return prepare_insert(rows, key="task_id", update=columns)


def update(run: Run, now: datetime) -> bool:
    """Update the parent's row to the run's state; False if there is no such row."""
    values: dict[str, Any] = {"status": run.state, "result": stored_result(run)}
    if run.ended:
        # Only at the end: the column is indexed, and PostgreSQL writes to no index of the row as
        # long as no indexed column changes.
        values["date_done"] = now
    return bool(update_rows(TaskResult, [{"task_id": str(run.pk)} | values], key="task_id"))


def mirror_children(steps: Iterable[Step], now: datetime) -> None:
    """Write the last reports of these children to their own rows, in one statement."""
    # A row may exist: of an earlier report, or of a worker that did not know the task.
    prepare_insert(
        [_child_row(step, now) for step in steps],
        key="task_id",
        update=[*WRITTEN_AGAIN, *JSON],
    )()


def _child_row(step: Step, now: datetime) -> TaskResult:
    return TaskResult(
        task_id=step.task_id,
        task_name=step.task,
        status="PROGRESS",
        result=json.dumps(step.meta.as_dict()),
        date_created=now,
        date_done=step.reported_at,
        meta=NO_CHILDREN,
        **JSON,
    )


def keep_from_cleanup() -> None:
    """Let Celery's daily cleanup (`celery.backend_cleanup`) leave the rows of runs and of children
    that have not ended, however old they are. Those of runs are deleted with their runs.
    """
    # The library has no hook for it. A row that is written again after the cleanup would be away
    # for a while, and a client would take the run for one that nobody knows.
    manager: Any = TaskResultManager
    manager.get_all_expired = _expired


def _expired(manager: Any, expires: Any) -> "QuerySet[TaskResult]":
    """Celery's results that are older than `expires`, without those that are needed."""
    expired: QuerySet[TaskResult] = ALL_EXPIRED(manager, expires)
    living = Step.objects.filter(state__in=Step.ACTIVE, task_id=OuterRef("task_id"))
    return expired.filter(~Exists(_same_run()), ~Exists(living))


def _same_run() -> "QuerySet[Run]":
    """The run whose id is the `task_id` of the outer row, which may be any text."""
    if connection.vendor == "sqlite":  # which stores the id without hyphens
        return Run.objects.filter(pk=Replace(OuterRef("task_id"), Value("-"), Value("")))
    as_text = Cast("pk", CharField())
    return Run.objects.annotate(as_text=as_text).filter(as_text=OuterRef("task_id"))


def delete(task_ids: Iterable[str]) -> None:
    """Delete the rows."""
    ids = list(task_ids)
    for start in range(0, len(ids), DELETE_BATCH):
        TaskResult.objects.filter(task_id__in=ids[start : start + DELETE_BATCH]).delete()
