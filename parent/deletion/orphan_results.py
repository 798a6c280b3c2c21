"""Results of children whose attempt was over before Celery stored them: nobody reads them, and
nobody else deletes them.

They come of a foreign task that runs on, or is terminated, after its attempt was taken away, and
of a message that came late to a worker that does not know the task.
"""

from datetime import timedelta

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from parent.models import Attempt, Step

__all__ = ["count", "delete_all", "delete_of", "delete_recent"]

BATCH = 1_000
RECENT = timedelta(minutes=2)
"""Several sweeps long: each looks at few rows, whatever is stored in all."""


def delete_of(task_id: str) -> None:
    """Delete what is stored for this attempt, if it is over."""
    _orphans().filter(task_id=task_id).delete()


def delete_recent() -> None:
    """Delete all that were stored lately."""
    _orphans().filter(date_done__gt=Now() - RECENT).delete()


def count() -> int:
    """How many there are, however old, that no sweep is about to delete."""
    return _orphans().filter(date_done__lt=Now() - RECENT).count()


def delete_all() -> int:
    """Delete all, however old; how many there were."""
    # Found first, and deleted a few at a time: finding them looks at all that is stored, and on
    # SQLite nobody else writes while a statement that deletes does that.
    ids = list(_orphans().values_list("pk", flat=True))
    deleted = 0
    for start in range(0, len(ids), BATCH):
        rows, _ = _orphans().filter(pk__in=ids[start : start + BATCH]).delete()
        deleted += rows
    return deleted


def _orphans() -> "QuerySet[TaskResult]":
    of_it = {"task_id": OuterRef("task_id")}
    ended = Step.objects.filter(**of_it).exclude(state__in=Step.ACTIVE)
    followed = Attempt.objects.filter(**of_it)
    return TaskResult.objects.filter(Exists(ended) | Exists(followed))
