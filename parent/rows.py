"""Few rows, read and written by SQL that is kept, in few round trips.

Django builds the SQL of a query anew at each call, and for one row that takes several times as
long as the database takes to run it. Every child pays for the statements of a hand-over, so
these are here; all others are plain queries.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar, cast
from uuid import UUID

import psycopg
from django.db import connection, models
from django.db.models import Field, Model
from django.db.models.expressions import Col

from parent import clock

__all__ = [
    "Overtaken",
    "Select",
    "Update",
    "apply",
    "converters",
    "select_all",
    "update",
    "update_row",
]

T = TypeVar("T", bound=Model)

AS_THEY_ARE = (models.CharField, models.TextField, models.IntegerField, models.FloatField)
"""Fields whose values both databases take as Python has them."""


class Overtaken(Exception):
    """A row is not as it was read any more. Roll back, and leave it to whoever changed it."""


@dataclass(frozen=True, slots=True)
class Select:
    """The rows of `model` for which `where` holds.

    Args:
        where: an SQL condition with one %s, for `key`, and an ORDER BY; never from input.
        lock: until the transaction ends, where the database locks rows.
    """

    model: type[Model]
    where: str
    key: UUID | str
    lock: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """An UPDATE of one row. `required`: there must be that row."""

    sql: str
    params: Sequence[Any]
    required: bool = False


def select_all(*selects: Select) -> list[list[Any]]:
    """The rows of each, with the database's time as `db_now`.

    A later one sees what others have committed while an earlier one waited for its lock.
    """
    answers = _run([(_select_sql(each), [_key(each.key)]) for each in selects], _fetched)
    return [
        [_row(each.model, values) for values in rows]
        for each, rows in zip(selects, answers, strict=True)
    ]


def update(
    model: type[Model],
    values: Mapping[str, Any],
    *,
    times: Mapping[str, float] = MappingProxyType({}),
    required: bool = False,
    **where: Any,
) -> Update:
    """Set `values` in the row whose columns have the values of `where`.

    Names are columns': `executor_id`, not `executor`. Values are what the fields take, no
    expressions, and no None in `where`.

    Args:
        times: columns to set to so many seconds after the database's time.
    """
    params = [_value(model, *pair) for pair in (*values.items(), *where.items())]
    sql = _update_sql(model, tuple(values), tuple(times.items()), tuple(where))
    return Update(sql, params, required)


def apply(*updates: Update) -> list[bool]:
    """Do the updates in order; for each, whether there was a row to update.

    Raises:
        Overtaken: a required one was not there. All are done then: roll back.
    """
    found = _run([(each.sql, each.params) for each in updates], lambda cursor: cursor.rowcount > 0)
    if any(each.required and not there for each, there in zip(updates, found, strict=True)):
        raise Overtaken
    return found


def update_row(model: type[Model], values: Mapping[str, Any], **options: Any) -> bool:
    """One `update`, done at once."""
    return apply(update(model, values, **options))[0]


R = TypeVar("R")


def _run(statements: Sequence[tuple[str, Sequence[Any]]], answer: Callable[[Any], R]) -> list[R]:
    if connection.vendor == "postgresql":
        return _run_prepared(statements, answer)
    answers = []
    for sql, params in statements:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            answers.append(answer(cursor))
    return answers


def _run_prepared(
    statements: Sequence[tuple[str, Sequence[Any]]], answer: Callable[[Any], R]
) -> list[R]:
    """One round trip for all, by cursors that let the server keep what it has planned.

    Django's own put the values into the SQL, so that each is another statement to the server.
    """
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    psycopg_connection = connection.connection
    # An error of a pipeline shows at its end.
    with connection.wrap_database_errors:
        cursors = [psycopg.Cursor(psycopg_connection) for _ in statements]
        with psycopg_connection.pipeline() if len(statements) > 1 else nullcontext():
            for cursor, (sql, params) in zip(cursors, statements, strict=True):
                cursor.execute(sql, params)
        return [answer(cursor) for cursor in cursors]


def _fetched(cursor: Any) -> list[Sequence[Any]]:
    return list(cursor.fetchall())


def _select_sql(each: Select) -> str:
    # On SQLite a transaction has the whole database to itself.
    suffix = " FOR UPDATE" if each.lock and connection.features.has_select_for_update else ""
    return f"{_columns_sql(each.model)} WHERE {each.where}{suffix}"


@cache
def _columns_sql(model: type[Model]) -> str:
    columns = ", ".join(f'"{name}"' for name in _names(model))
    return f"SELECT {columns}, {clock.sql()} FROM {model._meta.db_table}"  # noqa: S608 - our names


def _row(model: type[T], values: Sequence[Any]) -> T:
    *columns, db_now = values
    for place, column, convert in _converters(model):
        columns[place] = convert(columns[place], column, connection)
    row: Any = model.from_db(connection.alias, _names(model), columns)
    row.db_now = clock.read(db_now)
    return cast("T", row)


@cache
def _names(model: type[Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


@cache
def _converters(model: type[Model]) -> list[tuple[int, Col, Callable[..., Any]]]:
    return converters(model, model._meta.concrete_fields)


def converters(
    model: type[Model], fields: Sequence["Field[Any, Any]"]
) -> list[tuple[int, Col, Callable[..., Any]]]:
    """What makes Python's values of the database's: (place among the fields, column, function)."""
    columns = [field.get_col(model._meta.db_table) for field in fields]
    return [
        (place, column, convert)
        for place, column in enumerate(columns)
        for convert in (
            *connection.ops.get_db_converters(column),
            *column.get_db_converters(connection),
        )
    ]


def _key(key: UUID | str) -> UUID | str:
    if isinstance(key, str) or connection.features.has_native_uuid_field:
        return key
    return key.hex


@cache
def _update_sql(
    model: type[Model],
    values: Sequence[str],
    times: Sequence[tuple[str, float]],
    where: Sequence[str],
) -> str:
    sets = [f"{name} = %s" for name in values] + [f"{name} = {clock.sql(t)}" for name, t in times]
    conditions = " AND ".join(f"{_unindexed(name)} = %s" for name in where)
    return f"UPDATE {model._meta.db_table} SET {', '.join(sets)} WHERE {conditions}"  # noqa: S608 - our names


def _unindexed(column: str) -> str:
    """The column; a state as an expression, which no index has.

    One row is asked for by its key. With statistics of a time when few rows were in that state,
    PostgreSQL would rather go through all that now are (with 300 QUEUED a claim took 0.2 ms more).
    """
    return "state || ''" if column == "state" else column


def _value(model: type[Model], column: str, value: Any) -> Any:
    field = _special(model, column)
    return value if field is None else field.get_db_prep_save(value, connection)


@cache
def _special(model: type[Model], column: str) -> "Field[Any, Any] | None":
    field = cast("Field[Any, Any]", model._meta.get_field(column))
    return None if isinstance(field, AS_THEY_ARE) else field
