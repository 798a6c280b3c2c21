"""Undo the failures that Celery stores for messages of tasks that this worker does not know.

Celery stores NotRegistered as the task's failure and overwrites the row (celery 5.7,
`Consumer.on_unknown_task`): also the result of a run that has ended, and also after an attempt's
row was deleted.
"""

from typing import Any
from uuid import UUID

from celery import signals
from django.db import transaction

from children import host
from parent.definition.parent_task import NAME_PREFIX
from parent.models import Step, StepState
from parent.store import results
from parent.store.run_rows import lock_run_of, lock_run_row

__all__ = ["connect"]


def connect() -> None:
    """Connect to Celery's signal in this process."""
    signals.task_unknown.connect(_on_unknown, dispatch_uid="parent.worker.unknown_tasks")


def _on_unknown(id: str, name: str, message: Any, **_: Any) -> None:
    if host.HEADER in message.headers:
        _take_back_from_step(id)
    elif name.startswith(NAME_PREFIX):
        _take_back_from_run(UUID(id), name)


def _take_back_from_step(task_id: str) -> None:
    with transaction.atomic():
        lock_run_of(task_id)
        # A QUEUED step needs the failure: it explains the queue timeout.
        if not Step.objects.filter(task_id=task_id, state=StepState.QUEUED).exists():
            results.delete([task_id])


def _take_back_from_run(run_id: UUID, name: str) -> None:
    with transaction.atomic():
        locked = lock_run_row(run_id)
        if locked is not None:  # otherwise a client sent the task, and the failure is its answer
            results.create(locked.run, name)
