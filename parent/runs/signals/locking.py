"""The run of a signal, locked, with the signal's step; and whether it can still be given."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from children.sanitize import clean_text
from parent.errors import SignalClosed, SignalGiven, UnknownRun, UnknownSignal
from parent.models import Awaits, ReceivedSignal, Run, Step, StepState
from parent.store.kept_sql import select
from parent.store.run_rows import (
    FULL_READ_LIMIT,
    LARGE_OF_STEP,
    Locked,
    lock_run_row,
    run_key,
    steps_of,
)

__all__ = ["find", "given_before", "given_earlier", "lock_with_step", "require_open"]

WITH_NAME = "run_id = %s AND name = %s"
ENDS = {
    StepState.OK: "it was skipped by a retry, which gave it a result",
    StepState.ERROR: "it has ended with an error",
    StepState.SKIPPED: "it was skipped",
    StepState.CANCELLED: "it was cancelled",
}


def find(run_id: Run | UUID | str) -> Run:
    """The run, of which only the workflow is read.

    Raises:
        UnknownRun: there is none with that id.
    """
    if isinstance(run_id, Run):
        return run_id
    run = Run.objects.only("workflow").filter(pk=run_key(run_id)).first()
    if run is None:
        raise UnknownRun(f"There is no run {run_id}.")
    return run


def lock_with_step(run: Run, name: str) -> tuple[Locked, Step]:
    """Lock the run, and find the signal's step; of a run with many steps, no others are read.

    All that ends a step that waits locks the run first: whoever holds it decides.

    Raises:
        UnknownRun: it was deleted.
        UnknownSignal: it has no such step.
    """
    locked = lock_run_row(run.pk)
    if locked is None:
        raise UnknownRun(f"There is no run {run.pk}.")
    steps = steps_of(locked.run, at_most=FULL_READ_LIMIT + 1)
    if len(steps) <= FULL_READ_LIMIT:
        locked = locked._replace(steps=steps)
    else:
        steps = select(Step, WITH_NAME, _keys(run, name), without=LARGE_OF_STEP)
    step = next((each for each in steps if each.name == name and each.awaits), None)
    if step is None:
        raise UnknownSignal(
            f"This run has no signal or approval {name!r}: another version of {run.workflow} "
            "has started it."
        )
    return locked, step


def given_earlier(run: Run, name: str, key: str = "") -> list[ReceivedSignal]:
    """What the signal was given before, with this key: one row, or none."""
    return select(ReceivedSignal, f"{WITH_NAME} AND key = %s", [*_keys(run, name), key])


def _keys(run: Run, name: str) -> list[Any]:
    return [Run._meta.pk.get_db_prep_value(run.pk, connection), name]


def require_open(run: Run, step: Step, task_id: str | None) -> None:
    """Raises SignalClosed if it cannot be given any more."""
    if step.state in ENDS:
        why = ENDS[StepState(step.state)]
        if step.state == StepState.OK and step.message:
            why = "nothing more is taken"
        said = clean_text(step.error or step.message)
        raise SignalClosed(f"{step.name} is closed: {why}{f' ({said})' if said else ''}.")
    if run.ended:
        raise SignalClosed(f"{step.name} is closed: the run has ended, it is {run.state}.")
    if run.cancel_requested_at is not None:
        raise SignalClosed(f"{step.name} is closed: the run is being cancelled.")
    if task_id is not None and step.task_id != task_id:
        raise SignalClosed(f"{step.name} was asked for again: this answers an earlier request.")


def given_before(step: Step, earlier: ReceivedSignal) -> SignalGiven:
    """The error of who gives it again, with other values."""
    by = f" by {earlier.who}" if earlier.who else ""
    what = "was decided" if step.awaits == Awaits.APPROVAL else "was given"
    return SignalGiven(
        f"{step.name} {what}{by} at {_time(earlier.at)}, with other values. The first one counts."
    )


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
