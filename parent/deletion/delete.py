"""Deleting runs with all their rows and files, many rows by each statement."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any
from uuid import UUID

from celery.utils.log import get_logger
from django.db import transaction
from django.db.models import CASCADE, SET_NULL, Count, QuerySet

from parent.errors import InsideRun, RunActive
from parent.models import Attempt, Item, Run, Step
from parent.runs.nested.tree import in_batches, inner_runs, outermost
from parent.store import results
from parent.store.files import delete_files

__all__ = ["delete_ended", "delete_run"]

logger = get_logger(__name__)

STEPS_PER_TRANSACTION = 2_000
"""Steps and items that one transaction deletes; all of one run, however many it has."""

RunFiles = Sequence[tuple[UUID, Sequence[str]]]
"""The ids of locked runs, each with the storage names of its files."""


def delete_run(run: Run) -> None:
    """Delete the run, its child runs, all their steps, `TaskResult` rows and files.

    Raises:
        RunActive: the run has not ended.
        InsideRun: it is a child run.
    """
    with transaction.atomic():
        rows = Run.objects.select_for_update(of=("self",)).defer("params", "result")
        locked = rows.filter(pk=run.pk).first()
        if locked is None:
            return
        if locked.is_child:
            raise InsideRun(
                "The run is a step of another one, with which it is deleted: "
                f"delete {outermost(locked)}."
            )
        if not locked.ended:
            raise RunActive(f"The run is {locked.state}: wait for its end.")
        inner = inner_runs([locked.pk])
        if _with_active(inner):
            raise RunActive("Runs inside of this one have not ended yet: wait for their end.")
        _delete_all([(locked.pk, locked.files), *_files_of(inner)])


def delete_ended(runs: "QuerySet[Run]", *, at_most: int) -> int:
    """Delete the first ended ones of these runs, with their child runs; returns how many.

    It deletes fewer than `at_most` if the runs have very many steps, but at least one. Runs that
    another transaction has locked are skipped, on databases with row locks, and child runs too.
    """
    with transaction.atomic():
        # A retry locks the run too, so a run that is locked here cannot be reopened.
        rows = runs.filter(finished_at__isnull=False, parent_run=None)
        rows = rows.select_for_update(skip_locked=True, of=("self",))
        ended = list(rows.values_list("pk", "files")[:at_most])
        inner = inner_runs([pk for pk, _ in ended])
        going = _with_active(inner)
        batch = _limit_by_steps([each for each in ended if each[0] not in going], inner)
        if batch:
            chosen = {pk for pk, _ in batch}
            _delete_all([*batch, *_files_of(pk for pk, of in inner.items() if of in chosen)])
    return len(batch)


def _with_active(inner: Mapping[UUID, UUID]) -> set[UUID]:
    """The outer runs inside of which a run has not ended: it was cancelled just before.

    Args:
        inner: see `inner_runs`. It stays as it is while the outer runs are locked.
    """
    going = Run.objects.filter(finished_at__isnull=True).values_list("pk", flat=True)
    return {inner[pk] for batch in in_batches(inner) for pk in going.filter(pk__in=batch)}


def _files_of(ids: Iterable[UUID]) -> RunFiles:
    rows = Run.objects.values_list("pk", "files")
    return [row for batch in in_batches(ids) for row in rows.filter(pk__in=batch)]


def _limit_by_steps(runs: RunFiles, inner: Mapping[UUID, UUID]) -> RunFiles:
    """The first runs that have at most `STEPS_PER_TRANSACTION` steps together; at least one."""
    outer = {pk: pk for pk, _ in runs}
    outer |= {pk: of for pk, of in inner.items() if of in outer}
    sizes = Counter[UUID]()
    for batch in in_batches(outer):
        steps = Step.objects.filter(run__in=batch)
        for pk, number in steps.values_list("run_id").annotate(Count("pk")).order_by():
            sizes[outer[pk]] += number
        items = Item.objects.filter(step__in=steps.filter(chunk__isnull=False)).order_by()
        for pk, number in items.values_list("step__run_id").annotate(Count("pk")):
            sizes[outer[pk]] += number
    totals = accumulate(sizes[pk] for pk, _ in runs)
    fitting = sum(1 for total in totals if total <= STEPS_PER_TRANSACTION)
    return runs[: max(1, fitting)]


def _delete_all(runs: RunFiles) -> None:
    """Delete these locked runs in the caller's transaction, and their files after its commit."""
    for ids in in_batches(pk for pk, _ in runs):
        steps = Step.objects.filter(run__in=ids).exclude(task_id=None)
        earlier = Attempt.objects.filter(step__run__in=ids, item=None)  # items have no such rows
        attempts: Iterable[Any] = (
            *steps.values_list("task_id", flat=True),
            *earlier.values_list("task_id", flat=True),
        )
        results.delete([*map(str, ids), *attempts])
        _delete_with_related(Run.objects.filter(pk__in=ids))
    transaction.on_commit(lambda: _delete_files(runs))


def _delete_files(runs: RunFiles) -> None:
    for pk, files in runs:
        try:
            delete_files(files)
        except Exception:  # the type depends on the storage; go on with the other runs
            logger.exception("run %s is deleted, but not all of its files", pk)


def _delete_with_related(rows: "QuerySet[Any]") -> None:
    """Delete the rows and all rows that refer to them, by one statement for each table.

    Django's own `rows.delete()` reads all rows first, and deletes by lists of their keys.
    """
    for relation in rows.model._meta.related_objects:
        if relation.on_delete is CASCADE:
            related = relation.related_model._base_manager
            _delete_with_related(related.filter(**{f"{relation.field.name}__in": rows}))
        elif relation.on_delete is SET_NULL:
            related = relation.related_model._base_manager
            name = relation.field.name
            related.filter(**{f"{name}__in": rows}).update(**{name: None})
    rows._raw_delete(rows.db)
