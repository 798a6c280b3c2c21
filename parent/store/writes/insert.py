"""INSERT of rows, with less work than Django's `bulk_create`."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import NOT_PROVIDED, AutoField, Field, Model

from parent.store.connections import prepared_cursor
from parent.store.writes.json_rows import (
    PLAIN,
    as_table,
    batches,
    column_name,
    fields_of,
    new_value,
)

__all__ = ["insert_if_new", "insert_rows", "prepare_insert", "prepare_insert_and_ask"]


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
            if len(values) == 1:  # `executemany` takes half as long again
                cursor.execute(sql, values[0])
            else:
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
    key = column_name(row._meta.pk)
    with prepared_cursor() as cursor:
        cursor.execute(f"{sql} ON CONFLICT DO NOTHING RETURNING {key}", values)
        found = cursor.fetchall()
    if found:
        [(row.pk,)] = found
        row._state.adding, row._state.db = False, connection.alias
    return bool(found)


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
    fields = fields_of(model, tuple(rows[0]))
    others = {f.name: f for f in model._meta.concrete_fields if not isinstance(f, AutoField)}
    constants = {
        field: field.get_db_prep_save(same.get(name, field.get_default()), connection)
        for name, field in others.items()
        if name not in fields
    }
    constants = {field: value for field, value in constants.items() if value is not None}
    columns = ", ".join(map(column_name, (*constants, *fields.values())))
    values = ["%s"] * len(constants) + [new_value(name, field) for name, field in fields.items()]
    sql = (
        f"INSERT INTO {model._meta.db_table} ({columns}) "  # noqa: S608 - our names
        f"SELECT {', '.join(values)} FROM {as_table(fields)}"
    )
    with prepared_cursor() as cursor:
        for _, payload in batches(rows, next(iter(fields)), fields):
            cursor.execute(sql, [*constants.values(), payload])


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
    column_of = {field.name: column_name(field) for field in model._meta.concrete_fields}
    columns, marks = ", ".join(column_of[name] for name in names), ", ".join(["%s"] * len(names))
    sql = f"INSERT INTO {model._meta.db_table} ({columns}) VALUES ({marks})"  # noqa: S608 - our names
    if key:
        sets = ", ".join(f"{column_of[name]} = EXCLUDED.{column_of[name]}" for name in update)
        sql += f" ON CONFLICT ({column_of[key]}) DO UPDATE SET {sets}"
    return sql
