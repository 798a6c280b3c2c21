"""Recording an outcome whatever comes: nobody else would end the step."""

from celery.utils.log import get_logger

from children.meta import Meta, error_text
from parent.attempts import Again
from parent.endings import Ending, end_attempt
from parent.outage import OUTAGE
from parent.straight import end_straight

__all__ = ["record"]

logger = get_logger(__name__)


def record(
    name: str,
    task_id: str,
    outcome: Meta,
    traceback: str | None = None,
    *,
    again: Again | None = None,
    reported: bool = True,
    seen: str | None = None,
) -> Ending:
    """`end_attempt`; where the rows do not take the outcome, that is the outcome.

    Args:
        name: of the step, for the error.
    """
    try:
        if not reported and outcome.error is None and end_straight(task_id, outcome):
            return Ending.ENDED
        return end_attempt(task_id, outcome, traceback, reported=reported, again=again, seen=seen)
    except OUTAGE:
        raise
    except Exception as exc:
        logger.exception("%s: its outcome could not be recorded", task_id)
        text = f"Error in {name}: the outcome could not be recorded: {error_text(exc)}"
        return end_attempt(task_id, outcome.failed(text), traceback, reported=reported, seen=seen)
