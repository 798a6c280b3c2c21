"""INSERT and UPDATE of rows with different values, one statement for all of them.

Django's `bulk_update` writes a CASE with a WHEN per row and column, which takes seconds for
thousands of rows; both databases can join an UPDATE to a list of rows sent as one JSON value.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, cast
from uuid import UUID

from django.db import connection
from django.db.models import AutoField, Field, JSONField, Model

from parent.models import Run, Step, StepState

__all__ = ["Overtaken", "insertion", "update_rows", "write", "write_if"]


class Overtaken(Exception):
    """A row is no longer as it was read. Roll back, and leave it to whoever changed it."""


def write(rows: Iterable[Run | Step], names: Sequence[str]) -> None:
    """Write these columns of the rows, which are all of one model, in one statement."""
    rows = list(rows)
    if rows:
        values = [{"id": row.pk} | {name: getattr(row, name) for name in names} for row in rows]
        update_rows(type(rows[0]), values, key="id")


def write_if(row: Step, names: Sequence[str], *, was: str) -> None:
    """Write these columns of the row, if its state in the database still is `was`.

    Raises:
        Overtaken: it is not.
    """
    values = {"id": row.pk} | {name: getattr(row, name) for name in names}
    if not update_rows(Step, [values], key="id", unless=f"t.state <> '{StepState(was).value}'"):
        raise Overtaken


def insertion(rows: Sequence[Model]) -> Callable[[], None]:
    """What inserts these rows of one model when it is called. Their primary keys stay unknown.

    Their values are made ready here, before a transaction begins: `bulk_create` does that while it
    writes, and takes ten times as long.
    """
    if not rows:
        return lambda: None
    meta = rows[0]._meta
    fields = [field for field in meta.concrete_fields if not isinstance(field, AutoField)]
    values = [[_prepared(field, row) for field in fields] for row in rows]
    columns, marks = ", ".join(map(_column, fields)), ", ".join(["%s"] * len(fields))
    sql = f"INSERT INTO {meta.db_table} ({columns}) VALUES ({marks})"  # noqa: S608 - our names

    def insert() -> None:
        with connection.cursor() as cursor:
            cursor.executemany(sql, values)

    return insert


def _prepared(field: "Field[Any, Any]", row: Model) -> Any:
    value = getattr(row, field.attname)
    return value if value is None else field.get_db_prep_save(value, connection)


def update_rows(
    model: type[Model],
    rows: Sequence[Mapping[str, Any]],
    *,
    key: str,
    unless: str = "FALSE",
    skip_locked: bool = False,
) -> int:
    """Update the rows of `model` that `key` finds, leaving the other columns alone.

    Args:
        rows: dicts of field names and values, all with the same names, `key` among them.
        unless: an SQL condition on the table `t` of rows to leave as they are; never from input.
        skip_locked: leave those alone that another transaction holds, where rows can be held.

    Returns:
        How many rows were updated.
    """
    if not rows:
        return 0
    fields = {name: cast("Field[Any, Any]", model._meta.get_field(name)) for name in rows[0]}
    sets = ", ".join(f"{_column(f)} = {_new(name, f)}" for name, f in fields.items() if name != key)
    payload = [
        {name: _in_payload(field, row[name]) for name, field in fields.items()} for row in rows
    ]
    table, column, source = model._meta.db_table, _column(fields[key]), _source(fields)
    with_free = is_free = ""
    if skip_locked and connection.features.has_select_for_update_skip_locked:
        with_free = (
            f"WITH source AS (SELECT * FROM {source}), free AS (SELECT t.{column} AS key "  # noqa: S608 - names of our fields
            f"FROM {table} AS t JOIN source AS r ON t.{column} = r.{key} "
            "FOR UPDATE OF t SKIP LOCKED) "
        )
        source, is_free = "source AS r", f" AND t.{column} IN (SELECT key FROM free)"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(
            f"{with_free}UPDATE {table} AS t SET {sets} FROM {source} "  # noqa: S608
            f"WHERE t.{column} = r.{key}{is_free} AND NOT ({unless})",
            [json.dumps(payload, default=_text)],
        )
        return int(cursor.rowcount)


def _in_payload(field: "Field[Any, Any]", value: Any) -> Any:
    if isinstance(field, JSONField):
        # As text: out of the payload SQLite would take a string without its quotes, and true as 1.
        return None if value is None else json.dumps(value, cls=field.encoder)
    return field.get_db_prep_save(value, connection)


def _source(fields: Mapping[str, "Field[Any, Any]"]) -> str:
    """The JSON parameter as a table `r`, with a typed column for each field."""
    if connection.vendor == "postgresql":
        types = ", ".join(f"{name} {_type_of(field)}" for name, field in fields.items())
        return f"jsonb_to_recordset(%s::jsonb) AS r({types})"
    values = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in fields)
    return f"(SELECT {values} FROM json_each(%s)) AS r"  # noqa: S608 - names of our fields


def _type_of(field: "Field[Any, Any]") -> str:
    return "text" if isinstance(field, JSONField) else str(field.db_type(connection))


def _new(name: str, field: "Field[Any, Any]") -> str:
    """The new value, as SQL."""
    if isinstance(field, JSONField) and connection.vendor == "postgresql":
        return f"r.{name}::jsonb"
    return f"r.{name}"


def _text(value: object) -> str:
    """Times and UUIDs. Django's own encoder would cut the microseconds off."""
    if isinstance(value, date | UUID):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be among the values of update_rows()")


def _column(field: "Field[Any, Any]") -> str:
    return connection.ops.quote_name(str(field.column))
