"""Publish again the messages that the broker seems to have lost.

A queue with as many messages as steps that wait in it has lost none: it is only long. So we count
first and send only as many as are missing, the oldest first. Messages that a living worker has
received count as well. A duplicate does no harm: its claim fails.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from celery import states
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Coalesce, Now
from django_celery_results.models import TaskResult

from parent.conf import interval
from parent.definition.parent_task import parent_task_name
from parent.messages.publish import (
    missing_messages,
    publish_run,
    publish_steps,
    queue_of,
    republish_after,
)
from parent.models import IS_ACTIVE, Item, Run, Step, StepState
from parent.store import clock, results
from parent.store.leases import alive
from parent.store.run_rows import lock_run_row
from parent.store.writes.update import update_rows
from parent.telemetry.metrics import metrics

__all__ = ["Republisher", "republish_runs"]

CONFIRM_MARGIN = 0.5
"""Seconds after a heartbeat's interval in which each healthy worker has sent one."""
CONFIRM_AGAIN = 1.0
"""Seconds until a tick looks again whether the last of them has."""
PREFIXES: Mapping[type[Step | Item], str] = {Step: "", Item: "step__"}
"""Where the rows of each model have their queue, task and priority."""
FORGET_AFTER = timedelta(minutes=10)
COUNT_AGAIN = timedelta(seconds=2)
"""How long a count that finds no message missing is good, for messages that were sent before it."""
SENT_WITHIN = timedelta(seconds=1)
"""From the commit of a QUEUED row to its message in the broker, if nothing is slow."""


class Republisher:
    """Finds the messages of steps and items that are lost, and sends them again.

    A message that a worker has just received is in no queue, and its step shows that only after the
    worker's next heartbeat. So a missing message is suspected first. It is lost if it is still
    missing when each worker that consumes its queue has recorded what it had received by then.
    """

    def __init__(self) -> None:
        self._suspected: dict[str, datetime] = {}
        self._complete_at: dict[str, datetime] = {}
        """When a queue was counted last, if no message was missing."""

    def mark_due(self) -> None:
        """If messages are missing, suspect them, and make all published QUEUED rows due."""
        self._complete_at.clear()
        queues = _Queues.read()
        if not any(queues.missing.values()):
            return
        for ids in queues.candidates().values():
            for task_id in ids:
                self._suspected.setdefault(task_id, queues.counted_at)
        asked = any(queues.consumers(queue) for queue in queues.missing)
        wait = timedelta(seconds=interval("HEARTBEAT") + CONFIRM_MARGIN if asked else 0)
        for model in (Step, Item):
            rows: QuerySet[Any] = model._default_manager.all()
            published = rows.filter(IS_ACTIVE, state=StepState.QUEUED, publish_count__gt=0)
            with transaction.atomic():
                # Skip locked rows: whoever locks one is changing it, and may wait for another.
                free = published.select_for_update(skip_locked=True, of=("self",)).order_by()
                rows.filter(pk__in=free.values("pk")).update(due_at=Now() + wait)

    def check(self, steps: Sequence[Step | Item]) -> None:
        """Send lost messages of these due QUEUED steps or items, and set when to check them next.

        Args:
            steps: rows of one of the two models.
        """
        model = type(steps[0])
        now = clock.now()
        published = [step for step in steps if step.publish_count]
        lost, suspected = self._judge(published, now)
        # Before publishing: a child may start at once, and then its row must not change here.
        update_rows(
            model,
            [{"task_id": step.task_id, "due_at": at} for step, at in suspected],
            key="task_id",
            unless="t.state <> 'QUEUED'",
            skip_locked=True,
        )
        waits = {step.task_id for step, _ in suspected}
        decided = [step for step in steps if step.task_id not in waits]
        update_rows(
            model,
            [
                {
                    "task_id": s.task_id,
                    "publish_count": s.publish_count + 1,
                    "due_at": next_step_check(s, now),
                }
                for s in decided
            ],
            key="task_id",
            unless="t.state <> 'QUEUED'",
            skip_locked=True,
        )
        # A worker that did not know the task stored NotRegistered as its failure.
        results.delete([str(step.task_id) for step in decided])
        # A retry whose delay has passed, or a step of a large batch, was never published.
        publish_steps([step for step in steps if not step.publish_count])
        metrics.count("workflow_messages_republished", by=len(lost))
        publish_steps(lost)

    def _judge(
        self, steps: Sequence[Step | Item], now: datetime
    ) -> tuple[list[Step | Item], list[tuple[Step | Item, datetime]]]:
        """Which of these messages are lost; and which may be, with the times to look again."""
        lost: list[Step | Item] = []
        suspected: list[tuple[Step | Item, datetime]] = []
        uncounted = []
        for step in steps:
            if self._is_counted(step, now):
                self._suspected.pop(str(step.task_id), None)
            else:
                uncounted.append(step)
        if not uncounted:
            return lost, suspected
        queues = _Queues.read({queue_of(step) for step in uncounted})
        candidates, now = queues.candidates(), queues.counted_at
        self._complete_at |= {queue: now for queue, count in queues.missing.items() if not count}
        for step in sorted(uncounted, key=lambda step: step.queued_at or now):
            task_id, queue = str(step.task_id), queue_of(step)
            if task_id not in candidates.get(queue, ()):
                self._suspected.pop(task_id, None)
                continue
            new = task_id not in self._suspected
            since = self._suspected.setdefault(task_id, now)
            if all(until > since for until in queues.consumers(queue)):
                del self._suspected[task_id]
                lost.append(step)
                continue
            wait = interval("HEARTBEAT") + CONFIRM_MARGIN if new else CONFIRM_AGAIN
            deadline = next_step_check(step, now)
            suspected.append((step, min(now + timedelta(seconds=wait), deadline)))
        self._suspected = {
            task_id: since
            for task_id, since in self._suspected.items()
            if since > now - FORGET_AFTER
        }
        return lost, suspected

    def _is_counted(self, step: Step | Item, now: datetime) -> bool:
        """Whether the last count of its queue found its message, and is not too old."""
        at = self._complete_at.get(queue_of(step))
        if at is None or now - at > COUNT_AGAIN or step.queued_at is None:
            return False
        return step.queued_at + SENT_WITHIN < at


@dataclass(frozen=True, kw_only=True, slots=True)
class _Queues:
    """What is missing in queues.

    `missing`: messages, by queue. `counted_at`: when, by the database's clock. `tasks`: of each
    queue, the pairs of columns that lead to it. `executors`: those that record what they receive,
    as rows of id, queues, and until when.
    """

    missing: Mapping[str, int]
    counted_at: datetime
    tasks: Mapping[str, Sequence[tuple[str, str]]]
    executors: Sequence[tuple[UUID, list[str], datetime]]

    @classmethod
    def read(cls, names: Set[str] | None = None) -> "_Queues":
        """Count; `names`: only these queues."""
        # Before the steps: what an executor had received until then, these show.
        columns = ("id", "queues", "received_until")
        executors: Any = alive().filter(received_until__isnull=False).values_list(*columns)
        rows = list(executors)
        expected: Counter[str] = Counter()
        tasks: dict[str, list[tuple[str, str]]] = {}
        for model, prefix in PREFIXES.items():
            waiting = _not_received(model, [row[0] for row in rows]).order_by()
            by_task = waiting.values_list(f"{prefix}queue", f"{prefix}task")
            for queue, task, count in by_task.annotate(Count("pk")):
                name = queue_of(Step(queue=queue, task=task))
                if names is None or name in names:
                    expected[name] += count
                    tasks.setdefault(name, []).append((queue, task))
        missing = missing_messages(expected) if expected else Counter()
        return cls(missing=missing, counted_at=clock.now(), tasks=tasks, executors=rows)

    def consumers(self, queue: str) -> list[datetime]:
        """Until when each executor that consumes the queue has recorded its messages."""
        return [until for _, queues, until in self.executors if queue in queues]

    def candidates(self) -> dict[str, set[str]]:
        """Of each queue, the task ids of as many rows as messages are missing, the oldest."""
        return {
            queue: {task_id for *_, task_id in sorted(self._oldest(queue, count))[:count]}
            for queue, count in self.missing.items()
            if count
        }

    def _oldest(self, queue: str, count: int) -> Iterator[tuple[int, datetime, str]]:
        """The first rows of each model whose messages should be in the queue."""
        for model, prefix in PREFIXES.items():
            pairs = (
                Q(**{f"{prefix}queue": name, f"{prefix}task": task})
                for name, task in self.tasks[queue]
            )
            rows = _not_received(model, [row[0] for row in self.executors])
            rows = rows.filter(reduce(or_, pairs)).annotate(
                urgency=Coalesce(f"{prefix}priority", 0)
            )
            first = rows.order_by("urgency", "queued_at", "pk")
            yield from first.values_list("urgency", "queued_at", "task_id")[:count]


def _not_received(model: type[Step | Item], executors: Sequence[UUID]) -> "QuerySet[Any]":
    """The published QUEUED rows whose messages none of these executors has."""
    rows: QuerySet[Any] = model._default_manager.all()
    published = rows.filter(IS_ACTIVE, state=StepState.QUEUED, publish_count__gt=0)
    return published.filter(Q(received_by=None) | ~Q(received_by__in=executors))


def republish_runs(runs: Sequence[Run]) -> None:
    """Send the parent tasks of runs that wait for a worker: one that knows their steps, or, after
    their end, one that sends what follows them.
    """
    now = clock.now()
    update_rows(
        Run,
        [
            {"id": r.pk, "publish_count": r.publish_count + 1, "due_at": next_run_check(r, now)}
            for r in runs
        ],
        key="id",
        unless="t.state IN ('SUCCESS', 'FAILURE', 'REVOKED') AND t.follow_up IS NULL",
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
    deadline = None if run.ended else run.deadline_at
    return min(filter(None, (now + republish_after(run.publish_count), deadline)))


def next_step_check(step: Step | Item, now: datetime) -> datetime:
    """When to check a QUEUED step: for its message, or at its queue timeout."""
    look_at = now + republish_after(step.publish_count)
    if step.queue_timeout is None or step.queued_at is None:
        return look_at
    return min(look_at, step.queued_at + timedelta(seconds=step.queue_timeout))
