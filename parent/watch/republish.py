"""Publish again the messages that the broker seems to have lost.

A queue with as many messages as steps that wait in it has lost none: it is only long. So we count
first and send only as many as are missing, the oldest first. A duplicate does no harm: its claim
fails.
"""

from collections import Counter
from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from typing import Any

from celery import states
from django.db import transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from parent.definition.parent_task import parent_task_name
from parent.messages.publish import (
    missing_messages,
    publish_run,
    publish_steps,
    queue_of,
    republish_after,
)
from parent.models import Item, Run, Step, StepState
from parent.store import clock, results
from parent.store.run_rows import lock_run_row
from parent.store.writes import update_rows
from parent.telemetry.metrics import metrics

__all__ = ["mark_due", "republish_runs", "republish_steps"]


def mark_due() -> None:
    """If messages are missing, make all published QUEUED steps and items due now."""
    if not any(missing_messages(_expected()).values()):
        return
    for model in (Step, Item):
        rows: QuerySet[Any] = model._default_manager.all()
        published = rows.filter(state=StepState.QUEUED, publish_count__gt=0)
        with transaction.atomic():
            # Skip locked rows: whoever locks one is changing it, and may wait for another of them.
            free = published.select_for_update(skip_locked=True, of=("self",)).order_by()
            rows.filter(pk__in=free.values("pk")).update(due_at=Now())


def republish_steps(steps: Sequence[Step | Item]) -> None:
    """Send lost messages of these due QUEUED steps or items, and set when to check them next.

    Args:
        steps: rows of one of the two models.
    """
    now = clock.now()
    # Before publishing: a child may start at once, and then its row must not change here.
    update_rows(
        type(steps[0]),
        [
            {
                "task_id": s.task_id,
                "publish_count": s.publish_count + 1,
                "due_at": next_step_check(s, now),
            }
            for s in steps
        ],
        key="task_id",
        unless="t.state <> 'QUEUED'",
        skip_locked=True,
    )
    # A worker that did not know the task stored NotRegistered as its failure.
    results.delete([str(step.task_id) for step in steps])
    # A retry whose delay has passed, or a step of a large batch, was never published.
    publish_steps([step for step in steps if not step.publish_count])
    steps = [step for step in steps if step.publish_count]
    missing_count = _missing_in({queue_of(step) for step in steps})
    lost: list[Step | Item] = []
    for step in sorted(steps, key=lambda step: step.queued_at or now):
        if missing_count[queue_of(step)] > 0:
            missing_count[queue_of(step)] -= 1
            lost.append(step)
    metrics.count("workflow_messages_republished", by=len(lost))
    publish_steps(lost)


def republish_runs(runs: Sequence[Run]) -> None:
    """Send the parent tasks of runs that wait for a worker that knows their steps."""
    now = clock.now()
    update_rows(
        Run,
        [
            {"id": r.pk, "publish_count": r.publish_count + 1, "due_at": next_run_check(r, now)}
            for r in runs
        ],
        key="id",
        unless="t.state IN ('SUCCESS', 'FAILURE', 'REVOKED')",
        skip_locked=True,
    )
    _clear_unknown_task_failures(runs)
    for run in runs:
        if not publish_run(run):
            return  # the others would fail too; see `publish_steps`


def _clear_unknown_task_failures(runs: Sequence[Run]) -> None:
    """Replace the NotRegistered failure that a worker stored for an unknown parent task."""
    ids = [str(run.pk) for run in runs]
    refused = TaskResult.objects.filter(task_id__in=ids, status__in=states.READY_STATES)
    for run_id in refused.values_list("task_id", flat=True):
        with transaction.atomic():
            locked = lock_run_row(run_id)
            # The run may have ended since the query.
            if locked is not None and not locked.run.ended:
                results.create(locked.run, parent_task_name(locked.run.workflow))


def next_run_check(run: Run, now: datetime) -> datetime:
    """When to check a run that waits for a worker: for its message, or at its deadline."""
    return min(filter(None, (now + republish_after(run.publish_count), run.deadline_at)))


def next_step_check(step: Step | Item, now: datetime) -> datetime:
    """When to check a QUEUED step: for its message, or at its queue timeout."""
    look_at = now + republish_after(step.publish_count)
    if step.queue_timeout is None or step.queued_at is None:
        return look_at
    return min(look_at, step.queued_at + timedelta(seconds=step.queue_timeout))


def _missing_in(queues: Set[str]) -> Counter[str]:
    """How many messages are missing in each of these queues."""
    if not queues:
        return Counter()
    expected = _expected()
    return missing_messages({queue: expected[queue] for queue in queues})


def _expected() -> Counter[str]:
    """How many messages each queue must hold according to the rows."""
    expected: Counter[str] = Counter()
    queued = Step.objects.filter(state=StepState.QUEUED, publish_count__gt=0).order_by()
    for queue, task, count in queued.values_list("queue", "task").annotate(Count("pk")):
        expected[queue_of(Step(queue=queue, task=task))] += count
    items = Item.objects.filter(state=StepState.QUEUED, publish_count__gt=0).order_by()
    columns = items.values_list("step__queue", "step__task")
    for queue, task, count in columns.annotate(Count("pk")):
        expected[queue_of(Step(queue=queue, task=task))] += count
    return expected
