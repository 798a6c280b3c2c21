"""Messages that this worker's version of the code does not know, and that no longer count.

Celery stores such a refusal as the task's failure, over whatever stands there (celery 5.7,
`Consumer.on_unknown_task`): over the end of a run, and where an attempt's report was removed.
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
    """Listen to the signal of this process."""
    signals.task_unknown.connect(_on_unknown, dispatch_uid="parent.worker.unknown_tasks")


def _on_unknown(id: str, name: str, message: Any, **_: Any) -> None:
    if host.HEADER in message.headers:
        _take_back_from_step(id)
    elif name.startswith(NAME_PREFIX):
        _take_back_from_run(UUID(id), name)


def _take_back_from_step(task_id: str) -> None:
    with transaction.atomic():
        lock_run_of(task_id)
        # A step that waits needs the refusal: its end says by it why no worker has started it.
        if not Step.objects.filter(task_id=task_id, state=StepState.QUEUED).exists():
            results.delete([task_id])


def _take_back_from_run(run_id: UUID, name: str) -> None:
    with transaction.atomic():
        locked = lock_run_row(run_id)
        if locked is not None:  # otherwise a client sent it, and the refusal is its answer
            results.create(locked.run, name)
