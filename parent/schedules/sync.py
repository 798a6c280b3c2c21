"""Bringing the rows up to what the code declares. What staff edited stays as it is."""

from collections.abc import Iterator, Mapping
from typing import Any

from celery.utils.log import get_logger
from django.db import transaction

from parent.definition.workflow import registry
from parent.errors import InvalidSchedule
from parent.models import Schedule, SkipReason
from parent.schedules.control import change
from parent.schedules.rows import come_after, leave_out, lock, skip_waiting
from parent.schedules.validation import errors_of, values_of
from parent.store import clock

__all__ = ["sync"]

logger = get_logger(__name__)

Key = tuple[str, str]


def sync() -> None:
    """Add what is new, update what the code changed, and switch off what it no longer has.

    Rows of workflows that this process does not know are left alone: it may have only some apps.
    Without a change it takes one statement.
    """
    workflows = registry.names()
    rows = {
        (row.workflow, row.name): row for row in Schedule.objects.filter(workflow__in=workflows)
    }
    declared = dict(_declared(rows))
    new = [_new(key, values) for key, values in declared.items() if key not in rows]
    # Another process may add them at the same moment.
    Schedule.objects.bulk_create(new, ignore_conflicts=True)
    named = {(each.name, every.name) for each in registry.workflows() for every in each.schedules}
    for key, row in rows.items():
        if key in declared:
            if row.declared != declared[key] or row.removed_at is not None:
                _update(row.pk, declared[key])
        elif row.declared is not None and row.removed_at is None and key not in named:
            _switch_off(row.pk)


def _declared(rows: Mapping[Key, Schedule]) -> Iterator[tuple[Key, dict[str, Any]]]:
    """The schedules in the code. One that the checks refuse is left out: they may be silenced."""
    for workflow in registry.workflows():
        for schedule in workflow.schedules:
            key = (workflow.name, schedule.name)
            try:
                values = values_of(schedule)
                row = rows.get(key)
                changed = row is None or row.declared != values
                if changed and (errors := errors_of(workflow.name, values)):
                    raise InvalidSchedule(errors)
            except InvalidSchedule as exc:
                logger.error("the schedule %s/%s is left as it was: %s", *key, exc)
            else:
                yield key, values


def _new(key: Key, values: Mapping[str, Any]) -> Schedule:
    workflow, name = key
    row = Schedule(workflow=workflow, name=name, declared=values, **values)
    come_after(row, clock.now())
    return row


def _update(pk: int, values: Mapping[str, Any]) -> None:
    with transaction.atomic():
        row = lock(pk)
        if row is None:
            return
        now = clock.now()
        if row.declared is None:
            # Staff made it before the code had one of this name: their values count as edited.
            row.edited = sorted(name for name in values if getattr(row, name) != values[name])
        row.declared = dict(values)
        kept = {name: getattr(row, name) for name in row.edited if name in values}
        if row.removed_at is not None:
            row.removed_at = None
            leave_out(row, SkipReason.REMOVED, "The code did not have it meanwhile.", now)
        change(row, {**values, **kept}, "The code changed when the schedule comes.")
        row.edited = sorted(kept)
        row.save()


def _switch_off(pk: int) -> None:
    with transaction.atomic():
        row = lock(pk)
        if row is None:
            return
        row.removed_at, row.due_at = clock.now(), None
        skip_waiting(row, SkipReason.REMOVED, "The code does not have the schedule any more.")
        row.save()
