"""What people do to a schedule: pause, resume, run now, edit, reset, make."""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from parent.definition.workflow import registry
from parent.errors import InvalidSchedule, ScheduleGone, UnknownSchedule
from parent.models import Firing, Schedule, SkipReason
from parent.models.run import shortened
from parent.schedules.fire import fire_now
from parent.schedules.rows import come_after, leave_out, lock, skip_waiting
from parent.schedules.validation import FIELDS, TIMING, errors_of, is_name
from parent.store import clock

__all__ = ["change", "edit", "make", "pause", "reset", "resume", "run_now"]


def pause(pk: int, *, who: str) -> Schedule:
    """Start nothing until `resume`. Starts that wait for the end of a run are given up.

    Raises:
        UnknownSchedule: it was deleted.
    """
    with transaction.atomic():
        row = _locked(pk)
        if row.paused_at is None:
            row.paused_at, row.paused_by, row.due_at = clock.now(), shortened(who), None
            skip_waiting(row, SkipReason.PAUSED, f"The schedule was paused by {who}.")
            row.save()
    return row


def resume(pk: int, *, who: str) -> Schedule:
    """Go on with the times that come from now on. One row says which were left out.

    Raises:
        UnknownSchedule: it was deleted.
        ScheduleGone: the code no longer declares it.
    """
    with transaction.atomic():
        row = _present(pk)
        if row.paused_at is not None:
            by = row.paused_by
            row.paused_at, row.paused_by = None, ""
            detail = f"The schedule was paused by {by}, until {who} resumed it."
            leave_out(row, SkipReason.PAUSED, detail, clock.now())
            row.save()
    return row


def run_now(pk: int, *, who: str) -> Firing:
    """Start a run by hand, also of a paused schedule; what its `overlap` says holds for it too.

    Returns:
        What became of it; its nominal time is the time of this call.

    Raises:
        UnknownSchedule: it was deleted.
        ScheduleGone: the code no longer declares it.
        UnknownWorkflow: this process does not know the workflow.
    """
    with transaction.atomic():
        row = _present(pk)
        registry.get(row.workflow)
        return fire_now(row, shortened(who), clock.now())


def edit(pk: int, changes: Mapping[str, Any], *, who: str) -> Schedule:
    """Change fields by hand. They win over the code until `reset`.

    Args:
        changes: some of `validation.FIELDS`.

    Raises:
        UnknownSchedule: it was deleted.
        InvalidSchedule: with the errors of each field.
    """
    with transaction.atomic():
        row = _locked(pk)
        values = {name: getattr(row, name) for name in FIELDS} | dict(changes)
        if errors := errors_of(row.workflow, values):
            raise InvalidSchedule(errors)
        declared = row.declared
        if declared is not None:
            # Of these only: another release may have had others, which nobody sees here.
            row.edited = sorted(
                name
                for name in FIELDS
                if (name in row.edited or _differs(row, values, name))
                and values[name] != declared.get(name)
            )
        row.edited_by = shortened(who)
        change(row, values, f"{who} changed when the schedule comes.")
        row.save()
    return row


def reset(pk: int, *, who: str) -> Schedule:
    """Take the values that the code has. A pause stays.

    Raises:
        UnknownSchedule: it was deleted.
        ScheduleGone: the code no longer declares it, or never did.
    """
    with transaction.atomic():
        row = _present(pk)
        if row.declared is None:
            raise ScheduleGone(f"{row} was made by hand, so no code has values for it.")
        row.edited, row.edited_by = [], ""
        change(row, row.declared, f"{who} reset the schedule to the code's values.")
        row.save()
    return row


def make(workflow: str, name: str, values: Mapping[str, Any], *, who: str) -> Schedule:
    """Add a schedule that no code has.

    Raises:
        UnknownWorkflow: this process does not know the workflow.
        InvalidSchedule: with the errors of each field; the name may be taken.
    """
    registry.get(workflow)
    row = Schedule(workflow=workflow, name=name, edited_by=shortened(who))
    given = {each: getattr(row, each) for each in FIELDS} | dict(values)
    errors = errors_of(workflow, given)
    if not is_name(name):
        errors["name"] = ["Give one line of text without '/'."]
    if errors:
        raise InvalidSchedule(errors)
    for field, value in given.items():
        setattr(row, field, value)
    come_after(row, clock.now())
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise InvalidSchedule({"name": [f"{workflow} has a schedule {name!r} already."]}) from None
    return row


def change(row: Schedule, values: Mapping[str, Any], detail: str) -> None:
    """Set a locked row's fields, in memory, and when it comes next where its times change."""
    new_times = any(_differs(row, values, name) for name in TIMING)
    if new_times:
        reason = SkipReason.PAUSED if row.paused_at else SkipReason.EDITED
        leave_out(row, reason, detail, clock.now())
    for name in FIELDS:
        setattr(row, name, values[name])
    if new_times:
        come_after(row, clock.now())


def _differs(row: Schedule, values: Mapping[str, Any], name: str) -> bool:
    return bool(values[name] != getattr(row, name))


def _locked(pk: int) -> Schedule:
    row = lock(pk)
    if row is None:
        raise UnknownSchedule(f"There is no schedule {pk}: it was deleted.")
    return row


def _present(pk: int) -> Schedule:
    row = _locked(pk)
    if row.removed_at is not None:
        raise ScheduleGone(f"The code of {row.workflow} has no schedule {row.name!r} any more.")
    return row
