"""What a tick reads: active steps, what Celery stored for them, and runs that are due."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Exists, OuterRef, Q, QuerySet, When
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from children.sanitize import plain_form
from parent.messages.publish import queue_of
from parent.models import IS_ACTIVE, Executor, Item, ItemCount, Run, Step, StepState
from parent.watch.decide import Stored, Watched

__all__ = [
    "DUE_BATCH",
    "LARGE_RUN_FIELDS",
    "UNPUBLISHED_LAST",
    "active_items",
    "active_steps",
    "changed_results",
    "due_runs",
    "ids_of_due_steps",
    "ids_of_lost_steps",
    "ids_of_reported_steps",
    "stored",
    "stored_of",
    "watched",
]

DUE_BATCH = 300
"""Due rows per tick: each may take a transaction, or a message. The rest stays due."""
UNPUBLISHED_LAST = Case(When(state=StepState.QUEUED, publish_count=0, then=1), default=0)
LARGE_RUN_FIELDS = ("run__params", "run__files", "run__result")
"""Fields that may be large and that no tick needs."""


def active_steps() -> "QuerySet[Any]":
    """The queued and running steps, each with the database's time as `db_now`."""
    steps = Step.objects.filter(state__in=Step.ACTIVE).select_related("executor", "run")
    return steps.defer(
        "traceback", "result", "input_override", "checkpoint", *LARGE_RUN_FIELDS
    ).annotate(db_now=Now())


def active_items() -> "QuerySet[Any]":
    """The queued and running items, each with the database's time as `db_now`."""
    items = Item.objects.filter(IS_ACTIVE)
    items = items.select_related("executor", "step", "step__run")
    large = ("traceback", "result", "checkpoint", *(f"step__{name}" for name in LARGE_RUN_FIELDS))
    return items.defer(*large).annotate(db_now=Now())


def ids_of_reported_steps() -> "QuerySet[Any, Any]":
    """Steps whose children have reported since a tick mirrored them, and perhaps ended since."""
    marked = {"unmirrored_since__isnull": False}
    running = Step.objects.filter(**marked, state=StepState.RUNNING).order_by().values("pk")
    of_counts = ItemCount.objects.filter(**marked).order_by().values("step_id")
    of_items = Item.objects.filter(**marked).order_by().values("step_id")
    # One statement, with a partial index for each of its parts.
    return running.union(of_counts, of_items, all=True)


def ids_of_due_steps() -> "QuerySet[Any, Any]":
    """Steps that a tick must look at now, for themselves or for one of their items."""
    of_steps = Step.objects.filter(due_at__lte=Now()).order_by().values("pk")
    of_items = Item.objects.filter(due_at__lte=Now()).order_by().values("step_id")
    return of_steps.union(of_items, all=True)


def ids_of_lost_steps(lease: timedelta) -> "QuerySet[Any, Any]":
    """Steps that an executor runs, or of which it runs items, whose last heartbeat is that old."""
    dead = Executor.objects.filter(heartbeat_at__lt=Now() - lease).values("pk")
    lost = {"executor__in": dead, "state": StepState.RUNNING}
    of_steps = Step.objects.filter(IS_ACTIVE, **lost).order_by().values("pk")
    of_items = Item.objects.filter(IS_ACTIVE, **lost).order_by().values("step_id")
    return of_steps.union(of_items, all=True)


def due_runs() -> "QuerySet[Run]":
    """Runs that a tick must look at now."""
    return Run.objects.filter(due_at__lte=Now())


def changed_results(since: datetime | None) -> "QuerySet[TaskResult]":
    """The stored results of active steps that are newer than what was mirrored of them.

    Args:
        since: only those that were stored after this; None: at any time.
    """
    newer = Q(mirrored_at=None) | Q(mirrored_at__lt=OuterRef("date_done"))
    active = Step.objects.filter(IS_ACTIVE).order_by()
    results: QuerySet[TaskResult] = TaskResult.objects.filter(
        Exists(active.filter(newer, task_id=OuterRef("task_id")))
    )
    if since is not None:
        return results.filter(date_done__gt=since)
    # Otherwise SQLite would read all results there are, to look for the step of each.
    return results.filter(task_id__in=active.values("task_id"))


def stored_of(steps: Sequence[Step]) -> dict[str, Stored]:
    """What Celery stored for these steps, by task id."""
    ids = [str(step.task_id) for step in steps]
    columns = ("task_id", "status", "result", "date_done")
    rows = TaskResult.objects.filter(task_id__in=ids).only(*columns) if ids else ()
    return {row.task_id: stored(row) for row in rows}


def watched(step: Step | Item, *, dead: bool = False) -> Watched:
    """The step as input for `watch_once`. `dead`: its executor's lease has expired."""
    return Watched(
        name=step.name,
        queue=queue_of(step),
        queued_at=step.queued_at or step.run.created_at,
        started_at=step.started_at,
        reported_at=step.reported_at,
        publish_at=step.due_at,
        queue_timeout=step.queue_timeout,
        run_timeout=step.run_timeout,
        stall_timeout=step.stall_timeout,
        dead_executor=str(step.executor) if dead else None,
        claimed=step.claim is not None,
        meta=step.meta,
    )


def stored(row: TaskResult) -> Stored:
    """The stored result, decoded from JSON; text that is not JSON stays text."""
    try:
        result = json.loads(row.result, object_hook=plain_form) if row.result else None
    except (ValueError, RecursionError):
        result = row.result
    return Stored(state=row.status, result=result, at=row.date_done)
