"""What one report writes: the columns of the attempt's row, in one statement."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from celery.utils.log import get_logger
from django.db import connection
from django.utils import timezone

from children.errors import AttemptLost
from children.meta import ALMOST, Meta
from parent.decisions.step_pace import LastReport
from parent.models import Item, Step, StepState
from parent.store.outage import OUTAGE
from parent.store.writes.one_row import update_attempt

__all__ = ["ReportedRow"]

logger = get_logger(__name__)

COLUMNS = ("iteration", "total", "completion", "message")


class ReportedRow:
    """The row of a running attempt, as far as reports change it.

    Args:
        claim: the attempt's; it fences each statement.
    """

    def __init__(self, task_id: str, model: type[Step | Item], claim: UUID) -> None:
        self._task_id, self._model, self._claim = task_id, model, claim
        self._last = LastReport(started_at=timezone.now())

    def write(self, meta: Meta, checkpoint: Any) -> bool:
        """Write a report; return False if the database is down or locked.

        Raises:
            AttemptLost: the attempt no longer counts.
        """
        try:
            counts = self._update(meta, checkpoint)
        except OUTAGE as exc:
            if connection.in_atomic_block:
                raise
            logger.warning("%s: report not stored: %s", self._task_id, exc)
            connection.close()
            return False
        if not counts:
            raise AttemptLost(
                f"Attempt {self._task_id} no longer counts: it was cancelled, or its lease "
                "lapsed. Let this exception end the body."
            )
        return True

    def _update(self, meta: Meta, checkpoint: Any) -> bool:
        pace, measured_for = self._last.replace(meta, timezone.now())
        values = {name: getattr(meta, name) for name in COLUMNS}
        values["completion"] = min(meta.completion, ALMOST)  # only an outcome has 100
        values |= {"reported_at": timedelta(), "unmirrored_since": timedelta()}
        if self._model is Step:  # the pace of items is that of their step
            values["paced_since"] = -measured_for
            if pace is not None:  # until then the row keeps the pace of an earlier attempt
                values["pace"] = pace
        if checkpoint is not None:
            values["checkpoint"] = checkpoint
        return update_attempt(
            self._task_id,
            values,
            expected_state=StepState.RUNNING,
            claim=self._claim,
            if_null="unmirrored_since",
            model=self._model,
        )
