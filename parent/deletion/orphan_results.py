"""Orphan results: `TaskResult` rows that Celery stored after the attempt had ended.

Nothing reads them, and nothing else deletes them. They come from a foreign task that still ran, or
was terminated, after its attempt had ended; and from a late message to a worker that does not
know the task.
"""

from datetime import timedelta

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from parent.models import Attempt, Step

__all__ = ["count", "delete_all", "delete_of", "delete_recent"]

BATCH = 1_000
RECENT = timedelta(minutes=2)
"""Longer than several sweeps (`watch.tick`), each of which reads only rows as recent as this."""


def delete_of(task_id: str) -> None:
    """Delete the stored result of this attempt, if the attempt has ended."""
    _orphans().filter(task_id=task_id).delete()


def delete_recent() -> None:
    """Delete those that were stored within `RECENT`."""
    _orphans().filter(date_done__gt=Now() - RECENT).delete()


def count() -> int:
    """How many there are that are too old for `delete_recent`."""
    return _orphans().filter(date_done__lt=Now() - RECENT).count()


def delete_all() -> int:
    """Delete all, however old; returns how many."""
    # Find them first, then delete in batches: finding reads the whole table, and on SQLite nobody
    # else can write while a DELETE statement does that.
    ids = list(_orphans().values_list("pk", flat=True))
    deleted = 0
    for start in range(0, len(ids), BATCH):
        rows, _ = _orphans().filter(pk__in=ids[start : start + BATCH]).delete()
        deleted += rows
    return deleted


def _orphans() -> "QuerySet[TaskResult]":
    same_task = {"task_id": OuterRef("task_id")}
    ended = Step.objects.filter(**same_task).exclude(state__in=Step.ACTIVE)
    earlier = Attempt.objects.filter(**same_task)
    return TaskResult.objects.filter(Exists(ended) | Exists(earlier))
