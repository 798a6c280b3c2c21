"""Messages that this worker's version of the code does not know, and that no longer count.

Celery stores such a refusal as the task's failure, over whatever stands there (celery 5.7,
`Consumer.on_unknown_task`): over the end of a run, and where an attempt's report was removed.
"""

from typing import Any
from uuid import UUID

from celery import signals
from django.db import transaction

from children import host
from parent.models import StepState
from parent.runs.advance import BY_ID, lock_near, lock_run
from parent.store import results

__all__ = ["connect"]


def connect() -> None:
    """Listen to the signal of this process."""
    signals.task_unknown.connect(_on_unknown, dispatch_uid="parent.worker.unknown_tasks")


def _on_unknown(id: str, name: str, message: Any, **_: Any) -> None:
    if host.HEADER in message.headers:
        _take_back_from_step(id)
    elif name.startswith("parent."):
        _take_back_from_run(UUID(id), name)


def _take_back_from_step(task_id: str) -> None:
    with transaction.atomic():
        _, steps, *_ = lock_near(task_id, ok=True)
        waits = any(s.task_id == task_id and s.state == StepState.QUEUED for s in steps)
        if not waits:  # one that waits tells by it, at its end, why nobody has started it
            results.forget([task_id])


def _take_back_from_run(run_id: UUID, name: str) -> None:
    with transaction.atomic():
        run, _, _ = lock_run(BY_ID, run_id)
        if run is not None:  # otherwise a client sent it, and the refusal is its answer
            results.create(run, name)
