"""Recording an outcome whatever comes: nobody else would end the step."""

from datetime import timedelta

from celery import states
from celery.utils.log import get_logger
from django.db.models.functions import Now

from children.meta import Meta, error_text
from parent.models import Step
from parent.runs.attempts import RetryDecision
from parent.runs.endings import Ending, end_attempt
from parent.store.outage import OUTAGE
from parent.telemetry.log_context import about
from parent.telemetry.task_failure import send_task_failure

__all__ = ["record", "record_seen"]

logger = get_logger(__name__)

TOLD = (states.FAILURE, states.REVOKED)
AGAIN = timedelta(seconds=30)
"""Until a step that could not be ended is tried again."""


def record(
    name: str,
    task_id: str,
    outcome: Meta,
    traceback: str | None = None,
    *,
    retry: RetryDecision | None = None,
    reported: bool = True,
    seen: str | None = None,
) -> Ending:
    """`end_attempt`; where the rows do not take the outcome, that is the outcome.

    Args:
        name: of the step, for the error.
    """
    try:
        return end_attempt(task_id, outcome, traceback, reported=reported, retry=retry, seen=seen)
    except OUTAGE:
        raise
    except Exception as exc:
        logger.exception("%s: its outcome could not be recorded", task_id)
        text = f"Error in {name}: the outcome could not be recorded: {error_text(exc)}"
        return end_attempt(task_id, outcome.failed(text), traceback, reported=reported, seen=seen)


def record_seen(
    step: Step,
    outcome: Meta,
    retry: bool,
    state: str | None = None,
    traceback: str | None = None,
) -> Ending | None:
    """Record what a tick has seen of a step; None where that fails.

    Args:
        retry: whether a failure may be retried.
        state: Celery's, where it has one: of what it calls a failure it has told by itself.
    """
    with about(step):
        try:
            ending = record(
                step.name,
                str(step.task_id),
                outcome,
                traceback,
                retry=RetryDecision() if retry else None,
                seen=step.state,
            )
        except OUTAGE:
            raise
        except Exception:
            # What no tick can end must not keep the tick from all others.
            logger.exception("%s: the step could not be ended", step.task_id)
            late = Step.objects.filter(task_id=step.task_id, due_at__lte=Now())
            late.update(due_at=Now() + AGAIN)
            return None
        if ending is Ending.ENDED and outcome.error is not None and state not in TOLD:
            send_task_failure(step, outcome.error)
    return ending
