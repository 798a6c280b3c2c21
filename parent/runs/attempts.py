"""Attempts of a step: a new one, and the record of an old one."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from django.db.models import prefetch_related_objects

from children.meta import Meta
from parent.messages.publish import republish_after
from parent.models import Attempt, Item, Step, StepState
from parent.models.fields import META_COLUMNS
from parent.store.writes.insert import prepare_insert

__all__ = [
    "ATTEMPT_COLUMNS",
    "ITEM_ATTEMPT_COLUMNS",
    "archive",
    "clear_attempt",
    "queue_attempt",
]

ATTEMPT_COLUMNS = (
    *("state", "task_id", "message_id", "received_by", "claim", "executor_id", "traceback"),
    *("due_at", "queued_at"),
    *("started_at", "reported_at", "mirrored_at", "unmirrored_since", "finished_at", "unneeded"),
    *META_COLUMNS,
)
"""The columns that `clear_attempt` resets."""

ITEM_ATTEMPT_COLUMNS = (
    *(name for name in ATTEMPT_COLUMNS if name not in ("mirrored_at", "unneeded")),
    *("attempt", "publish_count", "retries_used"),
)
"""What a new attempt of an item writes."""


def clear_attempt(step: Step | Item) -> None:
    """Make the step WAITING, without any trace of an attempt, in memory."""
    step.state = StepState.WAITING
    step.task_id, step.message_id, step.claim, step.executor = None, None, None, None
    step.received_by = None
    step.set_meta(Meta())
    step.traceback, step.unneeded = "", False
    step.due_at = step.queued_at = None
    step.started_at = step.finished_at = None
    step.reported_at = step.mirrored_at = step.unmirrored_since = None


def queue_attempt(step: Step | Item, now: datetime, at: datetime | None = None) -> None:
    """Give the step a new attempt, in memory.

    Args:
        at: when to publish it, if that is later than now; a tick does it then.
    """
    clear_attempt(step)
    step.state, step.task_id = StepState.QUEUED, str(uuid4())
    step.attempt += 1
    step.publish_count = 1 if at is None else 0
    step.queued_at = at or now
    step.due_at = at or now + min(republish_after(0), _timedelta(step.queue_timeout))
    if step.limits:
        step.publish_count, step.due_at = 0, at  # in line: it has no message yet


def archive(steps: Sequence[Step] | Sequence[Item], now: datetime) -> None:
    """Insert a record of each step's present attempt, before a new attempt replaces it."""
    prefetch_related_objects(steps, "executor")
    prepare_insert([_record(step, now) for step in steps])()


def _record(step: Step | Item, now: datetime) -> Attempt:
    return Attempt(
        step=step.step if isinstance(step, Item) else step,
        item=step if isinstance(step, Item) else None,
        number=step.attempt,
        task_id=step.task_id or "",
        worker=str(step.executor or ""),
        error=step.error or "",
        traceback=step.traceback,
        queued_at=step.queued_at,
        started_at=step.started_at,
        finished_at=step.finished_at or now,
    )


def _timedelta(seconds: float | None) -> timedelta:
    return timedelta(seconds=seconds) if seconds is not None else timedelta.max
