"""The runs that are inside of a run, at any depth, and the run around it."""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from uuid import UUID

from django.db import connection
from django.db.models.expressions import RawSQL

from parent.models import Run

__all__ = ["in_batches", "inner_runs", "outermost", "times_inside", "with_inner_runs"]

BATCH = 5_000
INSIDE = (
    "WITH RECURSIVE inside(id) AS (SELECT id FROM parent_run WHERE id = %s UNION ALL "
    "SELECT r.id FROM parent_run AS r JOIN inside ON r.parent_run_id = inside.id) "
    "SELECT id FROM inside"
)


def inner_runs(run_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """The ids of all runs inside of these, each with the id of the given run that contains it.

    One statement for each level, and for each batch of it.
    """
    found: dict[UUID, UUID] = {}
    level: Collection[tuple[UUID, UUID]] = [(pk, pk) for pk in run_ids]
    while level:
        root = dict(level)
        rows = Run.objects.order_by().values_list("pk", "parent_run_id")
        found_below = (rows.filter(parent_run__in=batch) for batch in in_batches(root))
        level = [
            (pk, root[above]) for batch in found_below for pk, above in batch if above is not None
        ]
        found |= level
    return found


def with_inner_runs(run_id: UUID) -> RawSQL:
    """The ids of this run and of all runs inside of it, for the `__in` of a query.

    There may be as many as a mapped step has items: too many for a list of parameters.
    """
    key = Run._meta.pk.get_db_prep_value(run_id, connection)
    return RawSQL(INSIDE, [key])  # noqa: S611 - the statement has no input


def in_batches(ids: Iterable[UUID]) -> Iterator[list[UUID]]:
    """The ids in lists that a statement can take: SQLite takes 32,766 parameters."""
    left = iter(ids)
    while batch := list(islice(left, BATCH)):
        yield batch


def outermost(run: Run) -> UUID:
    """The id of the outermost run around this run; its own id if it is not inside of another."""
    found, above = run.pk, run.parent_run_id
    while above is not None:
        found = above
        above = Run.objects.values_list("parent_run_id", flat=True).filter(pk=above).first()
    return found


def times_inside(run: Run, workflow: str) -> int:
    """How many runs of this workflow there are from the outermost run down to this one, itself too.

    One statement for each level, but for runs that are still to be written.
    """
    found, each = 0, run
    while True:
        found += each.workflow == workflow
        above = each.parent_run_id
        if above is None:
            return found
        if Run.parent_run.is_cached(each) and each.parent_run is not None:
            each = each.parent_run
        else:
            each = Run.objects.only("workflow", "parent_run").get(pk=above)
