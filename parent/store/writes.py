"""INSERT and UPDATE of many rows, each with its own values, in one statement.

Django's `bulk_update` writes a CASE with a WHEN per row and column, which takes seconds for
thousands of rows; both databases can join an UPDATE to a list of rows sent as one JSON value.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import NOT_PROVIDED, AutoField, Field, JSONField, Model

from parent.models import Item, Run, Step, StepState
from parent.store.connections import prepared_cursor

__all__ = [
    "PLAIN",
    "RowChanged",
    "insert_if_new",
    "insert_rows",
    "prepare_insert",
    "prepare_insert_and_ask",
    "update_rows",
    "write",
    "write_and_ask",
    "write_if",
]


PLAIN: Mapping[str, type] = {
    **dict.fromkeys(("CharField", "TextField"), str),
    **dict.fromkeys(("SmallIntegerField", "IntegerField", "BigIntegerField"), int),
    **dict.fromkeys(("PositiveSmallIntegerField", "PositiveIntegerField"), int),
    "FloatField": float,
    "BooleanField": bool,
}
"""Values that need no conversion, by the kind of the field. They are nine of ten, and converting
them takes a fifth of the time of a start."""
BATCH_SIZE = 32_000_000
"""Characters of JSON in one statement, if it has more than one row."""


class RowChanged(Exception):
    """Another transaction has changed a row since it was read. Roll back; that change counts."""


def write(rows: Iterable[Run | Step | Item], names: Sequence[str]) -> None:
    """Write these columns of the rows in one statement. All rows are of one model."""
    rows = list(rows)
    if rows:
        values = [{"id": row.pk} | {name: getattr(row, name) for name in names} for row in rows]
        update_rows(type(rows[0]), values, key="id")


def write_if(row: Step | Item, names: Sequence[str], *, expected_state: str) -> None:
    """Write these columns of the row, if its state in the database is `expected_state`.

    Raises:
        RowChanged: it has another state.
    """
    values = {"id": row.pk} | {name: getattr(row, name) for name in names}
    changed = f"t.state <> '{StepState(expected_state).value}'"
    if not update_rows(type(row), [values], key="id", unless=changed):
        raise RowChanged(f"{row.name} is no longer {expected_state}.")


def write_and_ask(
    row: Run | Step, names: Sequence[str], question: str, params: Sequence[Any] = ()
) -> bool:
    """Write these columns of the row; the same statement answers an SQL condition.

    Args:
        question: the condition, with a `%s` for each of `params`; never from a user's input.
    """
    values = {"id": row.pk} | {name: getattr(row, name) for name in names}
    fields = _fields(type(row), tuple(values))
    sql = _update_sql(type(row), tuple(fields), "id", "FALSE", False)
    [(keys, payload)] = _batches([values], "id", fields)
    own: list[Any] = [payload, *([keys] * (sql.count("%s") - 1))]
    with prepared_cursor() as cursor:
        cursor.execute(f"{sql} RETURNING {question}", [*own, *params])
        # All rows: SQLite ends the statement only then.
        return any(answer for (answer,) in cursor.fetchall())


def prepare_insert(
    rows: Sequence[Model], *, key: str = "", update: Sequence[str] = ()
) -> Callable[[], None]:
    """A function that inserts these rows of one model, without setting their primary keys.

    The values are converted here, before the transaction begins: `bulk_create` converts them while
    it writes, and takes ten times as long.

    Args:
        key: a unique field; of a row whose `key` exists already, only the fields `update` are
            written.
    """
    if not rows:
        return lambda: None
    sql, values = _insert(rows, key, update)

    def insert() -> None:
        with prepared_cursor() as cursor:
            cursor.executemany(sql, values)

    return insert


def prepare_insert_and_ask(
    rows: Sequence[Model], question: str, params: Sequence[Any] = ()
) -> Callable[[], bool]:
    """As `prepare_insert`, for at least one row; the first statement answers an SQL condition."""
    sql, values = _insert(rows)
    first, *others = values

    def insert() -> bool:
        with prepared_cursor() as cursor:
            cursor.execute(f"{sql} RETURNING {question}", [*first, *params])
            [(answer,)] = cursor.fetchall()
            if others:
                cursor.executemany(sql, others)
        return bool(answer)

    return insert


def insert_if_new(row: Model) -> bool:
    """Insert the row, and set its primary key; False if one with the same unique key is there."""
    sql, [values] = _insert([row])
    key = _column(row._meta.pk)
    with prepared_cursor() as cursor:
        cursor.execute(f"{sql} ON CONFLICT DO NOTHING RETURNING {key}", values)
        found = cursor.fetchall()
    if found:
        [(row.pk,)] = found
        row._state.adding, row._state.db = False, connection.alias
    return bool(found)


def _insert(
    rows: Sequence[Model], key: str = "", update: Sequence[str] = ()
) -> tuple[str, list[tuple[Any, ...]]]:
    """The INSERT of one row, and the values of each row.

    Columns that are NULL in all rows are left out. Most of a step's are, and each takes its time.
    """
    model = type(rows[0])
    fields, read = _inserted(model)
    given = zip(*map(read, rows), strict=True)
    own = connections[DEFAULT_DB_ALIAS]  # `connection` looks it up at each use
    columns: dict[str, list[Any]] = {}
    for (field, plain, is_null_unless_given), values in zip(fields, given, strict=True):
        if not (is_null_unless_given and values.count(None) == len(values)):
            columns[field.name] = [
                value
                if value is None or type(value) is plain
                else field.get_db_prep_save(value, own)
                for value in values
            ]
    sql = _insert_sql(model, tuple(columns), key, tuple(update))
    return sql, list(zip(*columns.values(), strict=True))


class _Inserted(NamedTuple):
    """A field, and what to know of it for each row."""

    field: "Field[Any, Any]"
    plain: type | None
    """The type whose values the database takes as such."""
    is_null_unless_given: bool


@cache
def _inserted(
    model: type[Model],
) -> tuple[Sequence[_Inserted], Callable[[Model], tuple[Any, ...]]]:
    """The fields, and what reads their values from a row."""
    fields = [field for field in model._meta.concrete_fields if not isinstance(field, AutoField)]
    known = [
        _Inserted(
            field,
            PLAIN.get(field.get_internal_type()),
            field.null and field.db_default is NOT_PROVIDED,
        )
        for field in fields
    ]
    return known, attrgetter(*(field.attname for field in fields))


@cache
def _insert_sql(
    model: type[Model], names: tuple[str, ...], key: str, update: tuple[str, ...]
) -> str:
    column_of = {field.name: _column(field) for field in model._meta.concrete_fields}
    columns, marks = ", ".join(column_of[name] for name in names), ", ".join(["%s"] * len(names))
    sql = f"INSERT INTO {model._meta.db_table} ({columns}) VALUES ({marks})"  # noqa: S608 - our names
    if key:
        sets = ", ".join(f"{column_of[name]} = EXCLUDED.{column_of[name]}" for name in update)
        sql += f" ON CONFLICT ({column_of[key]}) DO UPDATE SET {sets}"
    return sql


def insert_rows(
    model: type[Model], same: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert these rows of `model` in one statement, in the caller's transaction.

    For thousands of rows: `prepare_insert` takes a round trip for each.

    Args:
        same: the values, by the fields' names, that are the same in all rows. Fields that are
            neither here nor in the rows get their defaults.
        rows: dicts of field names and values, all with the same names.
    """
    if not rows:
        return
    fields = _fields(model, tuple(rows[0]))
    others = {f.name: f for f in model._meta.concrete_fields if not isinstance(f, AutoField)}
    constants = {
        field: field.get_db_prep_save(same.get(name, field.get_default()), connection)
        for name, field in others.items()
        if name not in fields
    }
    constants = {field: value for field, value in constants.items() if value is not None}
    columns = ", ".join(map(_column, (*constants, *fields.values())))
    values = ["%s"] * len(constants) + [_new(name, field) for name, field in fields.items()]
    sql = (
        f"INSERT INTO {model._meta.db_table} ({columns}) "  # noqa: S608 - our names
        f"SELECT {', '.join(values)} FROM {_source(fields)}"
    )
    with prepared_cursor() as cursor:
        for _, payload in _batches(rows, next(iter(fields)), fields):
            cursor.execute(sql, [*constants.values(), payload])


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
    fields = _fields(model, tuple(rows[0]))
    sql = _update_sql(model, tuple(fields), key, unless, skip_locked)
    updated = 0
    with prepared_cursor() as cursor:
        for keys, payload in _batches(rows, key, fields):
            cursor.execute(sql, [payload, *([keys] * (sql.count("%s") - 1))])
            updated += int(cursor.rowcount)
    return updated


@cache
def _fields(model: type[Model], names: tuple[str, ...]) -> dict[str, "Field[Any, Any]"]:
    return {name: cast("Field[Any, Any]", model._meta.get_field(name)) for name in names}


@cache
def _update_sql(
    model: type[Model], names: tuple[str, ...], key: str, unless: str, skip_locked: bool
) -> str:
    fields = _fields(model, names)
    sets = ", ".join(f"{_column(f)} = {_new(name, f)}" for name, f in fields.items() if name != key)
    table, column, source = model._meta.db_table, _column(fields[key]), _source(fields)
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


def _batches(
    rows: Sequence[Mapping[str, Any]], key: str, fields: Mapping[str, "Field[Any, Any]"]
) -> Iterator[tuple[list[Any], str]]:
    """The keys of the rows, and the rows as a JSON array, which PostgreSQL limits to 256 MB."""
    keys: list[Any] = []
    texts: list[str] = []
    size = 0
    for row in rows:
        payload = {name: _in_payload(field, row[name]) for name, field in fields.items()}
        text = _encode(payload)
        if keys and size + len(text) > BATCH_SIZE:
            yield keys, f"[{','.join(texts)}]"
            keys, texts, size = [], [], 0
        keys.append(row[key])
        texts.append(text)
        size += len(text)
    yield keys, f"[{','.join(texts)}]"


def _in_payload(field: "Field[Any, Any]", value: Any) -> Any:
    if value is None or type(value) is PLAIN.get(field.get_internal_type()):
        return value
    if isinstance(field, JSONField):
        # As text: SQLite's json_extract would return a string without quotes, and true as 1.
        return json.dumps(value, cls=field.encoder)
    return field.get_db_prep_save(value, connection)


def _source(fields: Mapping[str, "Field[Any, Any]"]) -> str:
    """The JSON parameter as a table `r`, with a typed column for each field."""
    if connection.vendor == "postgresql":
        types = ", ".join(f'"{name}" {_type_of(field)}' for name, field in fields.items())
        return f"jsonb_to_recordset(%s::jsonb) AS r({types})"
    values = ", ".join(f"json_extract(value, '$.{name}') AS \"{name}\"" for name in fields)
    return f"(SELECT {values} FROM json_each(%s)) AS r"  # noqa: S608 - names of our fields


def _type_of(field: "Field[Any, Any]") -> str:
    return "text" if isinstance(field, JSONField) else str(field.db_type(connection))


def _new(name: str, field: "Field[Any, Any]") -> str:
    """The new value, as SQL."""
    if isinstance(field, JSONField) and connection.vendor == "postgresql":
        return f'r."{name}"::jsonb'
    return f'r."{name}"'


def _text(value: object) -> str:
    """Times and UUIDs as text. Django's own encoder would cut off the microseconds."""
    if isinstance(value, date | UUID):
        return str(value)
    raise TypeError(f"update_rows() cannot write a {type(value).__name__}: convert it first")


_encode = json.JSONEncoder(default=_text).encode


def _column(field: "Field[Any, Any]") -> str:
    return connection.ops.quote_name(str(field.column))
