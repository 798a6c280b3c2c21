"""Recording the outcomes that a tick has found, whatever error one of them meets."""

from datetime import timedelta
from typing import Any

from celery import states
from celery.utils.log import get_logger
from django.db.models import QuerySet
from django.db.models.functions import Now

from children.meta import Meta
from children.sanitize import one_line
from parent.models import Item, Run, Step
from parent.runs.automatic_retry import RetryDecision
from parent.runs.endings import Ending, bring_up, record
from parent.runs.items.end_of_item import end_of
from parent.store.outage import OUTAGE
from parent.telemetry.log_context import about
from parent.telemetry.task_failure import send_task_failure

__all__ = ["bring_up_due", "record_tick_outcome"]

logger = get_logger(__name__)

CELERY_FAILURES = (states.FAILURE, states.REVOKED)
RETRY_AFTER = timedelta(seconds=30)
"""Until a tick tries again to end a step that it could not end."""


def record_tick_outcome(
    step: Step | Item,
    outcome: Meta,
    retry: bool,
    state: str | None = None,
    traceback: str | None = None,
) -> Ending | None:
    """Record an outcome that a tick has found; None if that fails.

    Args:
        retry: whether a failure may be retried.
        state: the child's Celery state, if known. For a failed or revoked task Celery has sent
            its signal itself.
    """
    with about(step):
        try:
            ending = record(
                step.name,
                str(step.task_id),
                outcome,
                traceback,
                retry=RetryDecision() if retry else None,
                expected_state=step.state,
                end=end_of(step),
            )
        except OUTAGE:
            raise
        except Exception:
            # A step that cannot be ended must not stop the tick: the other steps need it.
            logger.exception("%s: the step could not be ended", step.task_id)
            rows: QuerySet[Any] = type(step)._default_manager.all()
            late = rows.filter(task_id=step.task_id, due_at__lte=Now())
            late.update(due_at=Now() + RETRY_AFTER)
            return None
        if ending is Ending.ENDED and outcome.error is not None and state not in CELERY_FAILURES:
            send_task_failure(step, one_line(outcome.error))
    return ending


def bring_up_due(run: Run) -> None:
    """`bring_up` for a child run that has ended and is due. After an error a tick tries again."""
    with about(run):
        try:
            bring_up(run.pk)
        except OUTAGE:
            raise
        except Exception:
            logger.exception("child run %s: its step in the parent run could not be ended", run.pk)
            late = Run.objects.filter(pk=run.pk, due_at__lte=Now())
            late.update(due_at=Now() + RETRY_AFTER)
