"""UPDATE of many rows, each with its own values, in one statement."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Model

from parent.models import Item, Run, Step
from parent.store.connections import prepared_cursor
from parent.store.writes.json_rows import as_table, batches, column_name, fields_of, new_value
from parent.store.writes.one_row import write_row

__all__ = ["update_rows", "write"]


def write(rows: Iterable[Run | Step | Item], names: Sequence[str]) -> None:
    """Write these columns of the rows in one statement. All rows are of one model."""
    rows = list(rows)
    if len(rows) == 1:
        write_row(rows[0], names)
    elif rows:
        values = [{"id": row.pk} | {name: getattr(row, name) for name in names} for row in rows]
        update_rows(type(rows[0]), values, key="id")


def update_rows(
    model: type[Model],
    rows: Sequence[Mapping[str, Any]],
    *,
    key: str,
    unless: str = "FALSE",
    skip_locked: bool = False,
) -> int:
    """Update the rows of `model` whose field `key` has the given values; other columns stay.

    Args:
        rows: dicts of field names and values, all with the same names, `key` included.
        unless: an SQL condition on the table `t`; rows that fulfil it are not updated. It must
            not contain input of a user.
        skip_locked: skip rows that another transaction has locked, on databases with row locks.

    Returns:
        How many rows were updated.
    """
    if not rows:
        return 0
    fields = fields_of(model, tuple(rows[0]))
    sql = _update_sql(model, tuple(fields), key, unless, skip_locked)
    updated = 0
    with prepared_cursor() as cursor:
        for keys, payload in batches(rows, key, fields):
            cursor.execute(sql, [payload, *([keys] * (sql.count("%s") - 1))])
            updated += int(cursor.rowcount)
    return updated


@cache
def _update_sql(
    model: type[Model], names: tuple[str, ...], key: str, unless: str, skip_locked: bool
) -> str:
    fields = fields_of(model, names)
    sets = ", ".join(
        f"{column_name(f)} = {new_value(name, f)}" for name, f in fields.items() if name != key
    )
    table, column, source = model._meta.db_table, column_name(fields[key]), as_table(fields)
    # Without the keys themselves PostgreSQL expects a hundred rows of the JSON value, and reads all
    # of a table of some thousand rows for one of them.
    among = f" AND t.{column} = ANY(%s)" if connection.vendor == "postgresql" else ""
    with_free = is_free = ""
    if skip_locked and connection.features.has_select_for_update_skip_locked:
        with_free = (
            f"WITH source AS (SELECT * FROM {source}), free AS (SELECT t.{column} AS key "  # noqa: S608 - names of our fields
            f"FROM {table} AS t JOIN source AS r ON t.{column} = r.{key}{among} "
            "FOR UPDATE OF t SKIP LOCKED) "
        )
        source, is_free = "source AS r", f" AND t.{column} IN (SELECT key FROM free)"  # noqa: S608
    return (
        f"{with_free}UPDATE {table} AS t SET {sets} FROM {source} "  # noqa: S608
        f"WHERE t.{column} = r.{key}{among}{is_free} AND NOT ({unless})"
    )
