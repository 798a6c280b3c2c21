"""Deleting runs, and everything of them, in statements that take many rows each."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any
from uuid import UUID

from celery.utils.log import get_logger
from django.db import transaction
from django.db.models import CASCADE, Count, QuerySet

from parent.errors import RunActive
from parent.models import Attempt, Run, Step
from parent.store import results
from parent.store.files import delete_files

__all__ = ["delete_ended", "delete_run"]

logger = get_logger(__name__)

MOST_STEPS = 2_000
"""Steps whose rows one transaction deletes; those of one run go together, however many it has."""

Doomed = Sequence[tuple[UUID, Sequence[str]]]
"""The ids of runs whose rows are locked, each with the storage names of its files."""


def delete_run(run: Run) -> None:
    """Delete the run, its steps, its `TaskResult` rows and its files.

    Raises:
        RunActive: it has not ended.
    """
    with transaction.atomic():
        rows = Run.objects.select_for_update().defer("params", "result")
        locked = rows.filter(pk=run.pk).first()
        if locked is None:
            return
        if not locked.ended:
            raise RunActive(f"The run is {locked.state}: wait for its end.")
        _delete_all([(locked.pk, locked.files)])


def delete_ended(runs: "QuerySet[Run]", *, at_most: int) -> int:
    """Delete the first of these runs, of those that have ended; how many that were.

    They are fewer than `at_most` where they have very many steps; at least one, if there is one.
    One that somebody else holds just now is passed over, where the database locks rows.
    """
    with transaction.atomic():
        # A retry holds the run as well: one that is locked here stays as it was found.
        rows = runs.filter(finished_at__isnull=False).select_for_update(skip_locked=True)
        doomed = _first_of(list(rows.values_list("pk", "files")[:at_most]))
        if doomed:
            _delete_all(doomed)
    return len(doomed)


def _first_of(runs: Doomed) -> Doomed:
    """As many as have `MOST_STEPS` together."""
    steps = Step.objects.filter(run__in=[pk for pk, _ in runs])
    sizes = dict(steps.values_list("run_id").annotate(Count("pk")))
    totals = accumulate(sizes.get(pk, 0) for pk, _ in runs)
    fitting = sum(1 for total in totals if total <= MOST_STEPS)
    return runs[: max(1, fitting)]


def _delete_all(runs: Doomed) -> None:
    """Within the caller's transaction, which holds these runs; the files after its commit."""
    ids = [pk for pk, _ in runs]
    steps = Step.objects.filter(run__in=ids).exclude(task_id=None)
    followed = Attempt.objects.filter(step__run__in=ids)
    attempts: Iterable[Any] = (
        *steps.values_list("task_id", flat=True),
        *followed.values_list("task_id", flat=True),
    )
    results.delete([*map(str, ids), *attempts])
    _cascade(Run.objects.filter(pk__in=ids))
    transaction.on_commit(lambda: _delete_files(runs))


def _delete_files(runs: Doomed) -> None:
    for pk, files in runs:
        try:
            delete_files(files)
        except Exception:  # of any storage; the files of the others go all the same
            logger.exception("run %s is deleted, but not all of its files", pk)


def _cascade(rows: "QuerySet[Any]") -> None:
    """`rows.delete()` in one statement for each table. Django's own reads all rows first, and
    deletes the last of them by lists of their keys.
    """
    for relation in rows.model._meta.related_objects:
        if relation.on_delete is CASCADE:
            related = relation.related_model._base_manager
            _cascade(related.filter(**{f"{relation.field.name}__in": rows}))
    rows._raw_delete(rows.db)
