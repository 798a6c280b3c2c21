"""Whether the engine tries a failed step again by itself, and when."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from children.declaration.retrying import LONGEST_DELAY, Retrying, delay_after, spread
from children.errors import RetryAsked
from children.meta import Meta
from parent.definition.workflow import registry
from parent.errors import UnknownStep, UnknownWorkflow
from parent.models import Item, Step

__all__ = ["RetryDecision", "retry_at", "retry_decision", "with_attempt_count"]


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
    delay = delay_after(
        step.retries_used, step.retry_delay, step.backoff, retry.longest, jitter=retry.jitter
    )
    return now + timedelta(seconds=delay)


def with_attempt_count(step: Step | Item, retry: RetryDecision | None, outcome: Meta) -> Meta:
    """The outcome of the last attempt; after retries its error says how many attempts failed."""
    if retry is None or not outcome.error or not step.retries_used:
        return outcome
    return outcome.failed(f"{outcome.error} (after {step.retries_used + 1} attempts)")
