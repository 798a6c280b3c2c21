"""The statements about the lines of limits, with kept SQL: every end with a limit needs them all.

With Django's own queries the end of such an attempt takes twice as long; see `kept_sql`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from parent.decisions.limit_sizes import Size
from parent.models import Item, LimitSize, Place, Step, StepState
from parent.store.connections import prepared_cursor
from parent.store.kept_sql import fetch

__all__ = [
    "anyone_waits",
    "count_taken",
    "delete_over",
    "first_in_line",
    "marks",
    "sizes_by_staff",
    "take",
]

PLACES = Place._meta.db_table
WAITS, TAKEN = "p.name = %s AND p.taken_at IS NULL", "p.name = %s AND p.taken_at IS NOT NULL"


def _has_state(*states: StepState) -> str:
    """The condition that the attempt of the place `p` has one of these states."""
    among = ", ".join(f"'{state.value}'" for state in states)
    of = "EXISTS (SELECT 1 FROM {} r WHERE r.task_id = p.task_id AND r.state IN ({}))"
    return " OR ".join(of.format(model._meta.db_table, among) for model in (Step, Item))


ACTIVE = _has_state(*Step.ACTIVE)
COUNT = f"SELECT COUNT(*) FROM {PLACES} p WHERE {TAKEN}"  # noqa: S608 - our names
FIRST = f"""
SELECT line.task_id, own.name FROM (
    SELECT p.task_id, p.since, p.id FROM {PLACES} p
    WHERE {WAITS} AND ({_has_state(StepState.QUEUED)}) ORDER BY p.since, p.id LIMIT %s
) line
JOIN {PLACES} own ON own.task_id = line.task_id ORDER BY line.since, line.id
"""  # noqa: S608 - our names


def anyone_waits(names: Sequence[str]) -> bool:
    """Whether there is a row in one of these lines."""
    among = f"name IN ({marks(names)}) AND taken_at IS NULL"
    return bool(names and fetch(f"SELECT 1 FROM {PLACES} WHERE {among} LIMIT 1", names))  # noqa: S608


def sizes_by_staff(names: Collection[str]) -> dict[str, str]:
    """The sizes that staff have set for these limits."""
    table = LimitSize._meta.db_table
    sql = f"SELECT name, size FROM {table} WHERE name IN ({marks(names)})"  # noqa: S608
    return dict(fetch(sql, [*names])) if names else {}


def delete_over(name: str, size: Size | None, now: datetime) -> None:
    """Delete the rows of places that are no longer taken."""
    over, params = f"NOT ({ACTIVE})", [name]
    if size is not None and size.period:
        over, since = "p.taken_at <= %s", now - timedelta(seconds=size.period)
        params.append(_time(since))
    _execute(f"DELETE FROM {PLACES} AS p WHERE {TAKEN} AND {over}", params)  # noqa: S608


def count_taken(name: str) -> int:
    """How many have a place of this limit; of those that are over, too."""
    [[count]] = fetch(COUNT, [name])
    return int(count)


def first_in_line(name: str, most: int) -> Mapping[str, Collection[str]]:
    """The first attempts in this line, so many at most, in order; with the names of all limits of
    each.
    """
    found: dict[str, list[str]] = {}
    for task_id, own in fetch(FIRST, [name, most]) if most else ():
        found.setdefault(task_id, []).append(own)
    return found


def take(task_ids: Collection[str], now: datetime) -> None:
    """Give these attempts their places."""
    if task_ids:
        among = f"task_id IN ({marks(task_ids)})"
        _execute(f"UPDATE {PLACES} SET taken_at = %s WHERE {among}", [_time(now), *task_ids])  # noqa: S608


def marks(values: Collection[Any]) -> str:
    """A `%s` for each of these values, for `IN (...)`."""
    return ", ".join(["%s"] * len(values))


def _time(at: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(at)


def _execute(sql: str, params: Sequence[Any]) -> None:
    with prepared_cursor() as cursor:
        cursor.execute(sql, params)
