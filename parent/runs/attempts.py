"""Attempts of a step: making one, making the next, and whether there is a next."""

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
from parent.models import Attempt, Step, StepState
from parent.store.writes import insertion

__all__ = ["RetryDecision", "archive", "exhausted", "queue_attempt", "retry_at", "worth_a_retry"]


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """How a failure may be retried.

    `delay` is in seconds; None takes the step's own, up to `longest`, and with `jitter` any time
    up to that. `counts`: it uses up one of the step's retries; otherwise it only needs the step
    to have any.
    """

    delay: float | None = None
    counts: bool = True
    longest: float = LONGEST_DELAY
    jitter: bool = False


def worth_a_retry(workflow: str, step: str, error: Exception) -> RetryDecision | None:
    """Whether the step's author counts this exception among those that pass."""
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


def retry_at(step: Step, retry: RetryDecision | None, now: datetime) -> datetime | None:
    """When the next attempt of a failed step begins; None when there is none."""
    left = step.retries - step.retries_used if retry is None or retry.counts else step.retries
    if retry is None or left <= 0:
        return None
    if retry.delay is not None:
        return now + timedelta(seconds=spread(retry.delay))
    own = step.retry_delay * step.backoff**step.retries_used
    return now + timedelta(seconds=spread(own, retry.longest, jitter=retry.jitter))


def exhausted(step: Step, retry: RetryDecision | None, outcome: Meta) -> Meta:
    """The outcome of the last attempt, saying that it was not the only one."""
    if retry is None or not outcome.error or not step.retries_used:
        return outcome
    return outcome.failed(f"{outcome.error} (after {step.retries_used + 1} attempts)")


def queue_attempt(step: Step, now: datetime, at: datetime | None = None) -> None:
    """Give the step a new attempt, in memory.

    Args:
        at: when it is published, if later than now: then a tick does it.
    """
    step.state = StepState.QUEUED
    step.attempt += 1
    step.task_id, step.claim, step.executor = str(uuid4()), None, None
    step.set_meta(Meta())
    step.traceback = ""
    step.started_at = step.reported_at = step.finished_at = None
    step.publish_count = 1 if at is None else 0
    step.queued_at = at or now
    step.due_at = at or now + min(republish_after(0), _seconds(step.queue_timeout))


def archive(steps: Sequence[Step], now: datetime) -> None:
    """Keep the records of the attempts that others are to follow."""
    prefetch_related_objects(steps, "executor")
    insertion([_record(step, now) for step in steps])()


def _record(step: Step, now: datetime) -> Attempt:
    return Attempt(
        step=step,
        number=step.attempt,
        task_id=step.task_id or "",
        worker=str(step.executor or ""),
        error=step.error or "",
        traceback=step.traceback,
        queued_at=step.queued_at,
        started_at=step.started_at,
        finished_at=step.finished_at or now,
    )


def _seconds(limit: float | None) -> timedelta:
    return timedelta(seconds=limit) if limit is not None else timedelta.max
