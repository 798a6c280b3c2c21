"""Deleting a run, and everything of it."""

from django.db import transaction

from parent import results
from parent.errors import RunActive
from parent.files import delete_files
from parent.models import Attempt, Run

__all__ = ["remove"]


def remove(run: Run) -> None:
    """Delete the run, its steps, its `TaskResult` rows and its files.

    Raises:
        RunActive: it has not ended.
    """
    with transaction.atomic():
        locked = Run.objects.select_for_update().filter(pk=run.pk).first()
        if locked is None:
            return
        if not locked.ended:
            raise RunActive(f"The run is {locked.state}: wait for its end.")
        now = locked.steps.exclude(task_id=None).values_list("task_id", flat=True)
        before = Attempt.objects.filter(step__run=locked).values_list("task_id", flat=True)
        results.forget([str(locked.pk), *map(str, now), *before])
        locked.delete()
        transaction.on_commit(lambda: delete_files(locked.files))
