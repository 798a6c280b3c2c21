"""How many items of a step have ended in which way: kept in slots, which are added up.

A finish adds to one slot, as the last row that it locks: whoever holds a slot waits for nobody.
"""

import random
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Count, Sum

from parent.decisions.mapping import Counts
from parent.models import IS_ACTIVE, Item, ItemCount, Step, StepState
from parent.models.item import SLOTS
from parent.store.connections import prepared_cursor

__all__ = ["FAILURES", "add", "clear", "read", "read_one", "reset"]

FAILURES = 0
"""The slot of all failures: the upsert returns how many there are, without a gap or a double."""
COLUMNS = ("opened", "ok", "failed", "skipped", "cancelled")


def add(step_id: int, now: datetime, *, slot: int | None = None, **changes: int) -> int:
    """Add to the counts of a step, in one statement; returns how many failures the slot has.

    Args:
        slot: None takes one by chance, so that few who finish at once meet in the same one.
        changes: by column.
    """
    if slot is None:
        slot = random.randrange(1, SLOTS)  # noqa: S311 - not a secret
    since = ItemCount._meta.get_field("unmirrored_since").get_db_prep_save(now, connection)
    values = [changes.get(name, 0) for name in COLUMNS]
    with prepared_cursor() as cursor:
        cursor.execute(_upsert_sql(), [step_id, slot, *values, since])
        return int(cursor.fetchone()[0])


@cache
def _upsert_sql() -> str:
    columns = ", ".join(COLUMNS)
    sums = ", ".join(f"{name} = c.{name} + EXCLUDED.{name}" for name in COLUMNS)
    return (
        f"INSERT INTO parent_itemcount AS c (step_id, slot, {columns}, unmirrored_since) "  # noqa: S608 - our names
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (step_id, slot) DO UPDATE SET "
        f"{sums}, unmirrored_since = COALESCE(c.unmirrored_since, EXCLUDED.unmirrored_since) "
        "RETURNING failed"
    )


def read(steps: Sequence[Step]) -> dict[int, Counts]:
    """The counts of these opened mapped steps, by their keys. Two statements for any number."""
    ids = [step.pk for step in steps]
    sums = {name: Sum(name) for name in COLUMNS}
    slots = ItemCount.objects.filter(step__in=ids).order_by().values_list("step_id")
    ended: dict[int, dict[str, int]] = {
        row[0]: dict(zip(COLUMNS, row[1:], strict=True)) for row in slots.annotate(**sums)
    }
    active = Item.objects.filter(IS_ACTIVE, step__in=ids, state=StepState.RUNNING).order_by()
    running: dict[int, dict[str, Any]] = {
        step_id: {"running": count, "running_completion": done}
        for step_id, count, done in active.values_list("step_id").annotate(
            Count("pk"), Sum("completion")
        )
    }
    return {
        step.pk: Counts(total=step.item_total, **ended.get(step.pk, {}), **running.get(step.pk, {}))
        for step in steps
    }


def read_one(step: Step) -> Counts:
    """The counts of one step."""
    return read([step])[step.pk]


def clear(step_id: int) -> None:
    """Delete the slots of a step that has ended, whose row has the counts."""
    ItemCount.objects.filter(step=step_id).delete()


def reset(step_id: int, kept: Counts | None = None) -> None:
    """Begin to count anew.

    Args:
        kept: how the items that do not wait have ended. The failures among them do not stop those
            that wait, so they are not in the slot that decides about that.
    """
    clear(step_id)
    values = {} if kept is None else {name: getattr(kept, name) for name in COLUMNS}
    ItemCount.objects.create(step_id=step_id, slot=FAILURES + 1, **values)
