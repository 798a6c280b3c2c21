"""The claim of an attempt: the right to run it, which exactly one of all deliveries gets."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from parent.messages.publish import republish_after
from parent.models import Item, Step, StepState
from parent.store import leases
from parent.store.outage import retry_while_database_is_down
from parent.store.writes.one_row import update_attempt

__all__ = ["Claim"]


class Claim:
    """What a process writes to its attempt's row to own it. Each call waits for the database."""

    def __init__(self, task_id: str, model: type[Step | Item], value: UUID) -> None:
        self._task_id, self._model, self._value = task_id, model, value

    def take(self, first_look: timedelta | datetime | None) -> bool:
        """Set the row from QUEUED to RUNNING; return True for exactly one of all deliveries.

        Args:
            first_look: when a tick looks at it first.
        """
        values = {"state": StepState.RUNNING, "started_at": timedelta(), "due_at": first_look}
        return self._write(values, StepState.QUEUED)

    def take_over(self, earlier: UUID) -> bool:
        """Take an attempt that runs already, if it has this earlier claim."""
        return self._write({}, StepState.RUNNING, earlier)

    def give_back(self, earlier: UUID | None) -> None:
        """Undo the claim.

        Args:
            earlier: the claim that the attempt had before this one; None makes it QUEUED.
        """
        values: dict[str, Any] = {"claim": earlier}
        if earlier is None:
            values |= {"state": StepState.QUEUED, "executor": None, "started_at": None}
            values["due_at"] = republish_after(0)

        def undo() -> bool:
            return update_attempt(
                self._task_id,
                values,
                expected_state=StepState.RUNNING,
                claim=self._value,
                model=self._model,
            )

        retry_while_database_is_down(f"requeue {self._task_id}", undo)

    def is_held(self) -> bool:
        """Whether the attempt still runs under this claim."""
        return self._rows().filter(state=StepState.RUNNING, claim=self._value).exists()

    def read_checkpoint(self) -> Any:
        """What the attempt before has left."""

        def read() -> Any:
            return self._rows().values_list("checkpoint", flat=True).first()

        return retry_while_database_is_down(f"read the checkpoint of {self._task_id}", read)

    def _rows(self) -> "QuerySet[Any]":
        rows: QuerySet[Any] = self._model._default_manager.all()
        return rows.filter(task_id=self._task_id)

    def _write(
        self, values: dict[str, Any], expected_state: StepState, earlier: UUID | None = None
    ) -> bool:
        values |= {"claim": self._value, "executor": leases.this_executor()}
        tries = 0

        def write_once() -> bool:
            nonlocal tries
            tries += 1
            is_mine = update_attempt(
                self._task_id,
                values,
                expected_state=expected_state,
                claim=earlier,
                model=self._model,
            )
            # After an error the first UPDATE may have been committed nevertheless.
            return is_mine or (tries > 1 and self.is_held())

        return retry_while_database_is_down(f"claim {self._task_id}", write_once)
