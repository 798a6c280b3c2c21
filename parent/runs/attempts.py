"""Attempts of a step: a new one, the record of an old one, and whether another one follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from django.db.models import prefetch_related_objects

from children.declaration.retrying import LONGEST_DELAY, Retrying, spread
from children.errors import RetryAsked
from children.meta import Meta
from parent.definition.workflow import registry
from parent.errors import UnknownStep, UnknownWorkflow
from parent.messages.publish import republish_after
from parent.models import Attempt, Item, Step, StepState
from parent.models.fields import META_COLUMNS
from parent.store.writes.insert import prepare_insert

__all__ = [
    "ATTEMPT_COLUMNS",
    "ITEM_ATTEMPT_COLUMNS",
    "RetryDecision",
    "archive",
    "clear_attempt",
    "queue_attempt",
    "retry_at",
    "retry_decision",
    "with_attempt_count",
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


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """How a failure may be retried.

    `delay` is in seconds. None takes the step's own delay, at most `longest` seconds; with
    `jitter` it is a random time up to that. `counts`: the retry uses up one of the step's
    retries. Otherwise the step only needs to allow retries at all.
    """

    delay: float | None = None
    counts: bool = True
    longest: float = LONGEST_DELAY
    jitter: bool = False


def retry_decision(workflow: str, step: str, error: Exception) -> RetryDecision | None:
    """How the step may be retried after this exception; None if its author excludes it."""
    if isinstance(error, RetryAsked):
        return RetryDecision(error.delay)
    try:
        retrying = registry.get(workflow).step(step).retrying
    except (UnknownWorkflow, UnknownStep):
        # Another version of the code started the run; its row says whether there are retries.
        retrying = Retrying()
    if not retrying.takes(error):
        return None
    return RetryDecision(longest=retrying.longest, jitter=retrying.jitter)


def retry_at(step: Step | Item, retry: RetryDecision | None, now: datetime) -> datetime | None:
    """When the next attempt of a failed step begins; None if there is no next attempt."""
    left = step.retries - step.retries_used if retry is None or retry.counts else step.retries
    if retry is None or left <= 0:
        return None
    if retry.delay is not None:
        return now + timedelta(seconds=spread(retry.delay))
    own_delay = step.retry_delay * step.backoff**step.retries_used
    return now + timedelta(seconds=spread(own_delay, retry.longest, jitter=retry.jitter))


def with_attempt_count(step: Step | Item, retry: RetryDecision | None, outcome: Meta) -> Meta:
    """The outcome of the last attempt; after retries its error says how many attempts failed."""
    if retry is None or not outcome.error or not step.retries_used:
        return outcome
    return outcome.failed(f"{outcome.error} (after {step.retries_used + 1} attempts)")


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
