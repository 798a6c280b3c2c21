"""Which step a process runs next by itself, without a message, when a child has ended in it.

A message is a nudge: what counts is the claim of the step's row. So the transaction that ends a
child may claim one of the steps that it opens, for the same process. All others are published.
"""

import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import uuid4

from celery import current_app
from django.db.models import Min
from django.db.models.functions import Now

from children import host
from children.task import ChildTask
from parent.conf import setting
from parent.decisions.first_look import first_look
from parent.decisions.time_slices import LastSlice
from parent.messages.publish import queue_of, run_row_due
from parent.models import IS_ACTIVE, Item, Step, StepState
from parent.store import leases

__all__ = ["HandOver", "look"]

S = TypeVar("S", Step, Item)

SHARE = 0.9
"""The part of a time slice that followers may use while runs wait: the last one ends later."""
LOOK_INTERVAL = 0.1
"""Seconds for which the answer of `look` is reused, at least."""
LOOK_SHARE = 20
"""The answer is reused for this many times as long as `look` took: it is slow if many runs wait."""
LONGEST_WAIT = Now() - Min("queued_at")


class _Look(NamedTuple):
    """Since when others waited, in each queue where any did, and when to look again."""

    until: float = -math.inf
    queues: Mapping[str, float] = {}


_look = _Look()
_last_slice = LastSlice()


class HandOver:
    """Claims a step for the process in which a child has just ended.

    Args:
        delivery: the message that this process works on.
    """

    def __init__(self, delivery: host.Delivery) -> None:
        self._delivery = delivery
        self._claim = uuid4()
        self.taken: Step | Item | None = None

    def take(
        self,
        ended: Step | Item,
        opened: Sequence[S],
        now: datetime,
        *,
        same_chunk: bool = False,
    ) -> S | None:
        """Claim, in memory, the first of the opened steps that may run here; None if none may.

        Called once in each try of the transaction. `committed` says which try counts.

        Args:
            same_chunk: they belong to this message, which may take longer than the time slice.
        """
        self.taken = None
        if not opened or self._delivery.is_stopping() or not (same_chunk or self._has_time(ended)):
            return None
        step = next((step for step in opened if self._may_follow(step, ended)), None)
        if step is not None:
            self._claim_step(step, now)
            self.taken = step
        return step

    def _has_time(self, ended: Step | Item) -> bool:
        """Whether the time slice is not used up, and nobody waits who goes first."""
        limit = setting("TIME_SLICE")
        if not limit or time.monotonic() - self._delivery.taken_at >= limit:
            return False
        # A run waits in the queue for its first child. If followers have used a whole slice since
        # it was queued, runs that have begun go on by messages, which stand behind its message. So
        # it begins at most one slice later than without followers.
        taken = self._delivery.follower_seconds()
        since = _last_slice.since(SHARE * limit, time.monotonic(), taken)
        return since == -math.inf or _waiting_since(queue_of(ended)) >= since

    def _may_follow(self, step: Step | Item, ended: Step | Item) -> bool:
        task = current_app.tasks.get(step.task)
        return (
            isinstance(task, ChildTask)
            and step.task not in self._delivery.excluded
            and queue_of(step) == queue_of(ended)
            # The same priority: which of two different numbers goes first depends on the broker.
            and _priority(step) == _priority(ended)
        )

    def _claim_step(self, step: Step | Item, now: datetime) -> None:
        run_row = None if isinstance(step, Item) else run_row_due(step)
        look = first_look(run_row, (step.run_timeout, step.stall_timeout))
        step.state, step.claim = StepState.RUNNING, self._claim
        step.executor_id, step.started_at = leases.this_executor(), now
        step.message_id, step.publish_count = self._delivery.id, 0
        step.due_at = now + look if isinstance(look, timedelta) else look

    def committed(self) -> Step | Item | None:
        """The step that was taken by a try whose commit was perhaps not confirmed."""
        if self.taken is None:
            return None
        mine = {"task_id": self.taken.task_id, "claim": self._claim, "state": StepState.RUNNING}
        rows = type(self.taken)._default_manager.filter(**mine)
        return self.taken if rows.exists() else None


def _priority(step: Step | Item) -> int | None:
    task = current_app.tasks.get(step.task)
    return step.priority if step.priority is not None else getattr(task, "priority", None)


def _waiting_since(queue: str) -> float:
    """When the run was queued that has waited longest in this queue for one of its first children.

    By `time.monotonic`; inf if none waits. As of the last look.
    """
    global _look  # noqa: PLW0603 - one answer per process
    began = time.monotonic()
    if began > _look.until:
        queues = look(began)
        now = time.monotonic()
        _look = _Look(now + max(LOOK_INTERVAL, LOOK_SHARE * (now - began)), queues)
    return _look.queues.get(queue, math.inf)


def look(now: float) -> dict[str, float]:
    """Of each queue in which runs wait for a first child: since when, on the clock of `now`."""
    waiting = Step.objects.filter(
        IS_ACTIVE,
        state=StepState.QUEUED,
        queued_at__lt=Now(),
        publish_count__gt=0,
        attempt=1,
        after=[],
    )
    queues: dict[str, float] = {}
    for name, task, waited in waiting.order_by().values_list("queue", "task", LONGEST_WAIT):
        queue = queue_of(Step(queue=name, task=task))
        queues[queue] = min(now - waited.total_seconds(), queues.get(queue, math.inf))
    return queues
