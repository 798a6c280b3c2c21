"""The runs that are inside of a run, at any depth, and the run around it."""

from collections.abc import Collection, Iterable
from uuid import UUID

from parent.models import Run

__all__ = ["inner_runs", "outermost", "times_inside"]


def inner_runs(run_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """The ids of all runs inside of these, each with that one of these in which it is.

    One statement for each level.
    """
    found: dict[UUID, UUID] = {}
    level: Collection[tuple[UUID, UUID]] = [(pk, pk) for pk in run_ids]
    while level:
        root = dict(level)
        rows = Run.objects.filter(parent_run__in=list(root)).values_list("pk", "parent_run_id")
        level = [(pk, root[above]) for pk, above in rows if above is not None]
        found |= level
    return found


def outermost(run: Run) -> UUID:
    """The id of the run that is inside of no other, in which this run is; its own if that is it."""
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
