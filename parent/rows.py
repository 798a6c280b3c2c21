"""Few rows, read and written by SQL that is kept.

Django builds the SQL of a query anew at each call, and for one row that takes several times as
long as the database takes to run it. Every child pays for the statements of a hand-over, so
these are here; all others are plain queries.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar, cast
from uuid import UUID

from django.db import connection
from django.db.models import Field, Model
from django.db.models.expressions import Col

from parent import clock

__all__ = ["select", "update_row"]

T = TypeVar("T", bound=Model)


def select(model: type[T], where: str, *keys: UUID | str, lock: bool = False) -> list[T]:
    """The rows of `model` for which `where` holds, each with the database's time as `db_now`.

    Args:
        where: an SQL condition with a %s for each of `keys`, and an ORDER BY; never from input.
        lock: until the transaction ends, where the database locks rows.
    """
    # On SQLite a transaction has the whole database to itself.
    suffix = " FOR UPDATE" if lock and connection.features.has_select_for_update else ""
    with connection.cursor() as cursor:
        cursor.execute(f"{_select(model)} WHERE {where}{suffix}", [_key(key) for key in keys])
        return [_row(model, values) for values in cursor.fetchall()]


@cache
def _select(model: type[Model]) -> str:
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
    """What makes Python's values of the database's: (place in the row, column, function)."""
    columns = [field.get_col(model._meta.db_table) for field in model._meta.concrete_fields]
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


def update_row(
    model: type[Model],
    values: Mapping[str, Any],
    *,
    times: Mapping[str, float] = MappingProxyType({}),
    **where: Any,
) -> bool:
    """Set `values` in the row whose columns have the values of `where`; False if there is none.

    Names are columns': `executor_id`, not `executor`. Values are what the fields take, no
    expressions, and no None in `where`.

    Args:
        times: columns to set to so many seconds after the database's time.
    """
    params = [_value(model, *pair) for pair in (*values.items(), *where.items())]
    with connection.cursor() as cursor:
        cursor.execute(_update(model, tuple(values), tuple(times.items()), tuple(where)), params)
        return bool(cursor.rowcount)


@cache
def _update(
    model: type[Model],
    values: Sequence[str],
    times: Sequence[tuple[str, float]],
    where: Sequence[str],
) -> str:
    sets = [f"{name} = %s" for name in values] + [f"{name} = {clock.sql(t)}" for name, t in times]
    conditions = " AND ".join(f"{name} = %s" for name in where)
    return f"UPDATE {model._meta.db_table} SET {', '.join(sets)} WHERE {conditions}"  # noqa: S608 - our names


def _value(model: type[Model], column: str, value: Any) -> Any:
    field = cast("Field[Any, Any]", model._meta.get_field(column))
    return field.get_db_prep_save(value, connection)
