"""Publishing again what the broker seems to have lost.

A queue that holds a message for everything that waits in it has lost nothing: it is only long.
So messages are counted first, and only as many are sent as are missing, the oldest first. One
too many does no harm: the claim drops it.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Count

from parent import clock
from parent.bulk import update_rows
from parent.models import Run, RunState, Step, StepState
from parent.publish import missing, publish_run, publish_steps, queue_of, republish_after

__all__ = ["republish_runs", "republish_steps"]


def republish_steps(steps: Sequence[Step]) -> None:
    """Look for the messages of QUEUED steps that are due; set when to look next."""
    now = clock.now()
    # Before publishing: a child that starts at once must find its row as it will stay.
    update_rows(
        Step,
        [{"id": s.pk, "publishes": s.publishes + 1, "due_at": next_look(s, now)} for s in steps],
        key="id",
        unless="t.state <> 'QUEUED'",
    )
    lost = _missing_in([queue_of(step) for step in steps])
    for step in sorted(steps, key=lambda step: step.queued_at or now):
        if lost[queue_of(step)] > 0:
            lost[queue_of(step)] -= 1
            publish_steps([step])


def republish_runs(runs: Sequence[Run]) -> None:
    """Look for the parents' messages of PENDING runs that are due; set when to look next."""
    now = clock.now()
    update_rows(
        Run,
        [
            {"id": r.pk, "publishes": r.publishes + 1, "due_at": now + republish_after(r.publishes)}
            for r in runs
        ],
        key="id",
        unless="t.state <> 'PENDING'",
    )
    lost = _missing_in([queue_of(run) for run in runs])
    for run in sorted(runs, key=lambda run: run.created_at):
        if lost[queue_of(run)] > 0:
            lost[queue_of(run)] -= 1
            publish_run(run)


def next_look(step: Step, now: datetime) -> datetime:
    """When a QUEUED step is due next: its message, or its deadline."""
    again = now + republish_after(step.publishes)
    if step.queue_timeout is None or step.queued_at is None:
        return again
    return min(again, step.queued_at + timedelta(seconds=step.queue_timeout))


def _missing_in(queues: Sequence[str]) -> Counter[str]:
    """How many messages each of these queues lacks."""
    expected = _expected()
    return Counter({queue: missing(queue, expected[queue]) for queue in set(queues)})


def _expected() -> Counter[str]:
    """How many messages each queue must hold, by the rows."""
    expected: Counter[str] = Counter()
    queued = Step.objects.filter(state=StepState.QUEUED).order_by()
    for queue, task, count in queued.values_list("queue", "task").annotate(Count("pk")):
        expected[queue_of(Step(queue=queue, task=task))] += count
    pending = Run.objects.filter(state=RunState.PENDING).order_by()
    for workflow, count in pending.values_list("workflow").annotate(Count("pk")):
        expected[queue_of(Run(workflow=workflow))] += count
    return expected
