"""Publishing again what the broker seems to have lost.

A queue that holds a message for everything that waits in it has lost nothing: it is only long.
So messages are counted first, and only as many are sent as are missing, the oldest first. One
too many does no harm: the claim drops it.
"""

from collections import Counter
from collections.abc import Sequence, Set
from datetime import datetime, timedelta

from celery import states
from django.db import transaction
from django.db.models import Count
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
from parent.models import Run, Step, StepState
from parent.store import clock, results
from parent.store.run_rows import lock_run_row
from parent.store.writes import update_rows
from parent.telemetry.metrics import metrics

__all__ = ["mark_due", "republish_runs", "republish_steps"]


def mark_due() -> None:
    """Have the messages of all that is queued looked for now, if any is missing."""
    if not any(missing_messages(_expected()).values()):
        return
    published = Step.objects.filter(state=StepState.QUEUED, publish_count__gt=0)
    with transaction.atomic():
        # Who holds one of these rows moves it on, and may be waiting for another of them.
        free = published.select_for_update(skip_locked=True, of=("self",)).order_by()
        Step.objects.filter(pk__in=free.values("pk")).update(due_at=Now())


def republish_steps(steps: Sequence[Step]) -> None:
    """Look for the messages of QUEUED steps that are due; set when to look next."""
    now = clock.now()
    # Before publishing: a child that starts at once must find its row as it will stay.
    update_rows(
        Step,
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
    # A worker that did not know a child's task has stored that as its failure.
    results.delete([str(step.task_id) for step in steps])
    # A retry whose time has come was not published before.
    publish_steps([step for step in steps if not step.publish_count])
    steps = [step for step in steps if step.publish_count]
    missing_count = _missing_in({queue_of(step) for step in steps})
    lost: list[Step] = []
    for step in sorted(steps, key=lambda step: step.queued_at or now):
        if missing_count[queue_of(step)] > 0:
            missing_count[queue_of(step)] -= 1
            lost.append(step)
    metrics.count("workflow_messages_republished", by=len(lost))
    publish_steps(lost)


def republish_runs(runs: Sequence[Run]) -> None:
    """Send the parents of runs that wait for a worker that knows their steps, to find one."""
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
            return  # nor would the others be sent; see `publish_steps`


def _clear_unknown_task_failures(runs: Sequence[Run]) -> None:
    """A worker that did not know a parent's task has stored that as its failure."""
    ids = [str(run.pk) for run in runs]
    refused = TaskResult.objects.filter(task_id__in=ids, status__in=states.READY_STATES)
    for run_id in refused.values_list("task_id", flat=True):
        with transaction.atomic():
            locked = lock_run_row(run_id)
            # It may have ended since it was found to be due.
            if locked is not None and not locked.run.ended:
                results.create(locked.run, parent_task_name(locked.run.workflow))


def next_run_check(run: Run, now: datetime) -> datetime:
    """When a run that waits for a worker is due next: its message, or its deadline."""
    return min(filter(None, (now + republish_after(run.publish_count), run.deadline_at)))


def next_step_check(step: Step, now: datetime) -> datetime:
    """When a QUEUED step is due next: its message, or its deadline."""
    look_at = now + republish_after(step.publish_count)
    if step.queue_timeout is None or step.queued_at is None:
        return look_at
    return min(look_at, step.queued_at + timedelta(seconds=step.queue_timeout))


def _missing_in(queues: Set[str]) -> Counter[str]:
    """How many messages each of these queues lacks."""
    if not queues:
        return Counter()
    expected = _expected()
    return missing_messages({queue: expected[queue] for queue in queues})


def _expected() -> Counter[str]:
    """How many messages each queue must hold, by the rows."""
    expected: Counter[str] = Counter()
    queued = Step.objects.filter(state=StepState.QUEUED, publish_count__gt=0).order_by()
    for queue, task, count in queued.values_list("queue", "task").annotate(Count("pk")):
        expected[queue_of(Step(queue=queue, task=task))] += count
    return expected
