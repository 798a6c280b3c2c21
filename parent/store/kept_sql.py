"""Reading with kept SQL, for the rows that every claim, report and end of a child concerns.

Django builds the SQL of a query anew for each call. For models with as many columns as `Run` and
`Step` that takes longer than the database's answer. The two SELECTs of an end save 3 ms on SQLite
and 7 ms on PostgreSQL.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Field, Model

from parent.store import clock
from parent.store.connections import prepared_cursor

__all__ = [
    "LOCK",
    "Converter",
    "columns_of",
    "converters_of",
    "fetch",
    "rows_of",
    "select",
]

M = TypeVar("M", bound=Model)
Converter = tuple[int, Any, Callable[..., Any]]

LOCK = " FOR NO KEY UPDATE"
"""PostgreSQL's lock for an update. FOR UPDATE would also wait for those who insert rows that refer
to this one, such as child runs, and they would wait for it.
"""


def select(
    model: type[M],
    where: str,
    params: Sequence[Any],
    *,
    without: tuple[str, ...] = (),
    lock: bool = False,
    skip_locked: bool = False,
    also: tuple[str, ...] = (),
) -> list[Any]:
    """The rows of `model` that match `where`, each with the database's time as `db_now`.

    Args:
        where: an SQL condition, and what follows it (ORDER BY, LIMIT); never from a user's input.
        params: the values of its `%s`, in the database's types.
        without: deferred fields: each is read when it is first used.
        lock: lock the rows until the transaction ends. On SQLite a transaction that writes has
            the whole database locked.
        skip_locked: leave out the rows that another transaction has locked.
        also: SQL expressions with their names (`... AS name`), which become attributes of the rows.
    """
    sql = _sql(model, where, without, also)
    if lock and connection.features.has_select_for_update:
        sql += LOCK + " SKIP LOCKED" * skip_locked
    return rows_of(model, sql, params, without, also)


def fetch(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What a statement returns, as the database's types; `params` as for `select`."""
    with prepared_cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def rows_of(
    model: type[Model],
    sql: str,
    params: Sequence[Any],
    without: tuple[str, ...],
    also: tuple[str, ...] = (),
) -> list[Any]:
    """The rows that a statement with `columns_of` gives, as `select` does."""
    # `Manager.raw` would compare the columns with the fields anew for each query.
    names, converters = _reading(model, without)
    others = _names_of_others(connection.vendor, also)
    with prepared_cursor() as cursor:
        cursor.execute(sql, params)
        found = cursor.fetchall()
    rows: list[Any] = []
    for found_values in found:
        values = list(found_values[: len(names)])
        for place, column, convert in converters:
            values[place] = convert(values[place], column, connection)
        row: Any = model.from_db(DEFAULT_DB_ALIAS, names, values)
        for name, value in zip(others, found_values[len(names) :], strict=True):
            setattr(row, name, value)
        row.db_now = getattr(row, "db_now", None) or clock.now()
        rows.append(row)
    return rows


@cache
def _names_of_others(vendor: str, also: tuple[str, ...]) -> list[str]:
    """The names of the columns after the model's own. (Drivers take long to tell them.)"""
    return [*(["db_now"] if vendor != "sqlite" else []), *(each.split(" AS ")[-1] for each in also)]


@cache
def _reading(
    model: type[Model], without: tuple[str, ...]
) -> tuple[dict[str, None], list[Converter]]:
    """The names of the fields that are read, in order, and what makes their values."""
    fields = _fields(model, without)
    return dict.fromkeys(field.attname for field in fields), converters_of(fields)


def converters_of(fields: Sequence["Field[Any, Any]"]) -> list[Converter]:
    """What makes Python's values of the database's: (place, column, function) of these fields."""
    columns: list[Any] = [field.get_col(field.model._meta.db_table) for field in fields]
    return [
        (place, column, convert)
        for place, column in enumerate(columns)
        for convert in (
            *connection.ops.get_db_converters(column),
            *column.get_db_converters(connection),
        )
    ]


def _fields(model: type[Model], without: tuple[str, ...]) -> list["Field[Any, Any]"]:
    return [field for field in model._meta.concrete_fields if field.attname not in without]


def columns_of(model: type[Model], without: tuple[str, ...], also: tuple[str, ...] = ()) -> str:
    """What `rows_of` reads of a row, as SQL. Args as for `select`."""
    fields = _fields(model, without)
    columns = [connection.ops.quote_name(str(field.column)) for field in fields]
    if connection.vendor != "sqlite":  # on SQLite it would be a text; `clock.now` is the same time
        columns.append(f"{clock.NOW_SQL} AS db_now")
    return ", ".join((*columns, *also))


@cache
def _sql(
    model: type[Model], where: str, without: tuple[str, ...], also: tuple[str, ...] = ()
) -> str:
    table = connection.ops.quote_name(model._meta.db_table)
    columns = columns_of(model, without, also)
    return f"SELECT {columns} FROM {table} WHERE {where}"  # noqa: S608 - our names
