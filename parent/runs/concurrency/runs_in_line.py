"""The places of workflows with a limit: which runs hold one, and which wait for their turn.

A run holds its place by its own row, and frees it in the update that ends the run: no lock outlives
its holder. Who ends such a run opens the next one after the commit. If that process dies in
between, the sweep of a tick does it.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q, QuerySet

from parent.definition.workflow import registry
from parent.errors import UnknownWorkflow
from parent.models import Run
from parent.store.kept_sql import fetch, select
from parent.store.locks import lock_names, try_lock_name
from parent.store.run_rows import LARGE_OF_RUN

__all__ = [
    "all_in_line",
    "fill",
    "fill_locked",
    "free_places",
    "holding",
    "in_line",
    "lock",
    "lock_of",
    "may_begin",
    "try_lock",
    "turn_message",
    "unfilled",
]

MOST_AT_ONCE = 1_000
"""Runs that one transaction lets begin, where there is no limit any more; a tick has the others."""
Begin = Callable[[Run, datetime], None]

OF_KEY = "workflow = %s AND place_key = %s AND finished_at IS NULL AND has_place = "
COUNT_HOLDING = f"SELECT COUNT(*) FROM {Run._meta.db_table} WHERE {OF_KEY} TRUE"  # noqa: S608
# Not `AND NOT has_place`: SQLite uses no index for that, and would read all that are in line.
FIRST_IN_LINE = f"{OF_KEY} FALSE ORDER BY created_at, id LIMIT %s"


def lock(workflow: str, key: str) -> None:
    """Let no other transaction start or open runs with this key until the present one ends.

    It comes before the locks of runs.
    """
    lock_names([_name(workflow, key)])


def try_lock(workflow: str, key: str) -> bool:
    """`lock` if no other transaction has it. So it may come after the locks of runs, too."""
    return try_lock_name(_name(workflow, key))


def _name(workflow: str, key: str) -> str:
    return f"{workflow}\n{key}"


def lock_of(run_id: UUID) -> None:
    """`lock` for the workflow and key of this run, if it has a limit."""
    found = Run.objects.filter(pk=run_id, place_key__isnull=False)
    for workflow, key in found.values_list("workflow", "place_key"):
        lock(workflow, str(key))


def holding(workflow: str, key: str) -> "QuerySet[Run]":
    """The runs that hold a place, the oldest first."""
    # `has_place=True` is an expression for which SQLite uses no index: see `FIRST_IN_LINE`.
    return _alive(workflow, key).filter(has_place__in=[True])


def in_line(workflow: str, key: str) -> "QuerySet[Run]":
    """The runs that wait for their turn, the first in line first."""
    return _alive(workflow, key).filter(has_place__in=[False])


def all_in_line() -> "QuerySet[Run]":
    """The runs of all workflows that wait for their turn, in no order."""
    alive = Run.objects.filter(place_key__isnull=False, finished_at__isnull=True)
    return alive.filter(has_place=False).order_by()


def _alive(workflow: str, key: str) -> "QuerySet[Run]":
    rows = Run.objects.filter(workflow=workflow, place_key=key, finished_at__isnull=True)
    return rows.order_by("created_at", "pk")


def free_places(workflow: str, key: str) -> int | None:
    """How many runs may begin now; None if there is no limit any more.

    Raises:
        UnknownWorkflow: this process does not know it.
    """
    concurrency = registry.get(workflow).concurrency
    if concurrency is None:
        return None
    [[used]] = fetch(COUNT_HOLDING, [workflow, key])  # every end of such a run asks
    return max(0, concurrency.limit - int(used))


def may_begin(workflow: str, key: str) -> bool:
    """Whether another run may begin: a place is free, and nobody is in line for it.

    A process that does not know the workflow knows no limit, and lets it begin.
    """
    try:
        free = free_places(workflow, key)
    except UnknownWorkflow:
        return True
    return free is None or (free > 0 and not in_line(workflow, key).exists())


def turn_message(key: str | None) -> str:
    """The message of a run that waits for its turn."""
    return f"waits for its turn: {key}" if key else "waits for its turn"


def fill(workflow: str, key: str, begin: Begin) -> int:
    """Let the first in line begin, as many as there are free places; returns how many.

    A run that another transaction has locked is passed over: it is being cancelled or deleted.

    Args:
        begin: gives the locked run its place and opens its first steps, in this transaction.
    """
    with transaction.atomic():
        lock(workflow, key)
        return fill_locked(workflow, key, begin)


def fill_locked(workflow: str, key: str, begin: Begin) -> int:
    """`fill` in a transaction that has the lock of the key."""
    try:
        free = free_places(workflow, key)
    except UnknownWorkflow:
        return 0  # the sweep of a worker that knows it does this
    most = MOST_AT_ONCE if free is None else free
    first = select(
        Run,
        FIRST_IN_LINE,
        [workflow, key, most],
        without=LARGE_OF_RUN,
        lock=True,
        skip_locked=True,
    )
    for run in first:
        begin(run, run.db_now)
    return len(first)


def unfilled() -> Iterator[tuple[str, str]]:
    """The workflows and keys that have free places, although runs wait for them."""
    alive = Run.objects.filter(place_key__isnull=False, finished_at__isnull=True).order_by()
    waiting, held = (Count("pk", filter=Q(has_place=has)) for has in (False, True))
    counted = alive.values("workflow", "place_key").annotate(waiting=waiting, held=held)
    for row in counted.filter(waiting__gt=0):
        try:
            concurrency = registry.get(row["workflow"]).concurrency
        except UnknownWorkflow:
            continue
        if concurrency is None or row["held"] < concurrency.limit:
            yield row["workflow"], str(row["place_key"])
