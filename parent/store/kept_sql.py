"""Statements with kept SQL, for the rows that every claim, report and end of a child concerns.

Django builds the SQL of a query anew for each call. For models with as many columns as `Run` and
`Step` that takes longer than the database's answer. A claim and a report take 0.3 ms each on
SQLite, and 1.2 and 2.5 ms with Django's own queries; on PostgreSQL 1.3 ms each, and 2.3 and 3.4 ms.
The two SELECTs of an end save 3 ms on SQLite and 7 ms on PostgreSQL.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar, cast
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Field, Model

from parent.models import Item, Step, StepState
from parent.store import clock
from parent.store.connections import prepared_cursor
from parent.store.writes.json_rows import PLAIN

__all__ = [
    "Converter",
    "converters_of",
    "fetch",
    "select",
    "update_attempt",
    "update_first",
    "update_row",
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
    return _rows(model, sql, params, without, also)


def fetch(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What a statement returns, as the database's types; `params` as for `select`."""
    with prepared_cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _rows(
    model: type[Model],
    sql: str,
    params: Sequence[Any],
    without: tuple[str, ...],
    also: tuple[str, ...] = (),
) -> list[Any]:
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


def _columns(model: type[Model], without: tuple[str, ...], also: tuple[str, ...] = ()) -> str:
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
    columns = _columns(model, without, also)
    return f"SELECT {columns} FROM {table} WHERE {where}"  # noqa: S608 - our names


def update_row(
    model: type[M],
    values: Mapping[str, Any],
    where: str,
    params: Sequence[Any],
    *,
    without: tuple[str, ...] = (),
    also: tuple[str, ...] = (),
    count: str = "",
    if_null: str = "",
) -> M | None:
    """Write these columns of the row that matches `where`; returns it as it is then, or None.

    It waits for a row that another transaction has locked, and asks `where` again after that.

    Args:
        values: by the fields' names. A `timedelta` is the database's time, plus that.
        where, params, without, also: as for `select`.
        count: the name of a field to which 1 is added.
        if_null: the name of a field that keeps its value if it has one.
    """
    new = [_param(model, name, value) for name, value in values.items()]
    sql = _update_row_sql(model, _is_delta(values), where, without, also, count, if_null)
    return next(iter(_rows(model, sql, [*new, *params], without, also)), None)


def update_first(
    model: type[M],
    values: Mapping[str, Any],
    where: str,
    params: Sequence[Any],
    *,
    without: tuple[str, ...] = (),
    count: str = "",
) -> M | None:
    """As `update_row`, for the first of the rows that match `where`.

    Rows that another transaction has locked are left out. None if there is no other.
    """
    return update_row(model, values, _is_first(model, where), params, without=without, count=count)


@cache
def _is_first(model: type[Model], where: str) -> str:
    table = connection.ops.quote_name(model._meta.db_table)
    lock = f"{LOCK} SKIP LOCKED" * connection.features.has_select_for_update
    return f"id = (SELECT id FROM {table} WHERE {where} LIMIT 1{lock})"  # noqa: S608 - our names


@cache
def _update_row_sql(
    model: type[Model],
    columns: tuple[tuple[str, bool], ...],
    where: str,
    without: tuple[str, ...],
    also: tuple[str, ...],
    count: str,
    if_null: str,
) -> str:
    table = connection.ops.quote_name(model._meta.db_table)
    sets = _sets(model, columns, if_null)
    if count:
        sets += ", {0} = {0} + 1".format(_column(model, count))
    return (
        f"UPDATE {table} SET {sets} WHERE {where} "  # noqa: S608 - our names
        f"RETURNING {_columns(model, without, also)}"
    )


def update_attempt(
    task_id: str,
    values: Mapping[str, Any],
    *,
    expected_state: StepState,
    claim: UUID | None = None,
    if_null: str = "",
    model: type[Step | Item] = Step,
) -> bool:
    """Write these columns of the step with this attempt; False if the attempt no longer counts.

    An item's attempt counts as long as its step has not ended, and nobody has cancelled the run.

    Args:
        values: by the fields' names. A `timedelta` is the database's time, plus that.
        expected_state: the attempt counts if its step is in this state.
        claim: and if the step has this claim, and nobody has cancelled the run. None: not checked.
        if_null: the name of a field that keeps its value if it has one.
        model: Item for the attempt of an item.
    """
    params = [_param(model, name, value) for name, value in values.items()]
    params += [task_id, expected_state.value]
    if claim is not None:
        params.append(_param(model, "claim", claim))
    with prepared_cursor() as cursor:
        cursor.execute(_update_sql(model, _is_delta(values), claim is not None, if_null), params)
        return bool(cursor.rowcount)


def _is_delta(values: Mapping[str, Any]) -> tuple[tuple[str, bool], ...]:
    return tuple((name, isinstance(value, timedelta)) for name, value in values.items())


def _param(model: type[Model], name: str, value: Any) -> Any:
    field, plain = _field_and_plain(model, name)
    if value is None or type(value) is plain:
        return value
    if isinstance(value, timedelta):
        if connection.vendor != "sqlite":
            return value
        value = clock.now() + value
    return field.get_db_prep_save(value, connection)


@cache
def _field_and_plain(model: type[Model], name: str) -> "tuple[Field[Any, Any], type | None]":
    field = _field(model, name)
    return field, PLAIN.get(field.get_internal_type())


@cache
def _field(model: type[Model], name: str) -> "Field[Any, Any]":
    return cast("Field[Any, Any]", model._meta.get_field(name))


def _column(model: type[Model], name: str) -> str:
    return connection.ops.quote_name(str(_field(model, name).column))


def _sets(model: type[Model], columns: tuple[tuple[str, bool], ...], if_null: str) -> str:
    now = "" if connection.vendor == "sqlite" else f"{clock.NOW_SQL} + "
    new = {_column(model, name): now * is_delta + "%s" for name, is_delta in columns}
    if if_null:
        kept = _column(model, if_null)
        new[kept] = f"COALESCE({kept}, {new[kept]})"
    return ", ".join(f"{column} = {value}" for column, value in new.items())


@cache
def _update_sql(
    model: type[Model], columns: tuple[tuple[str, bool], ...], claimed: bool, if_null: str
) -> str:
    sets = _sets(model, columns, if_null)
    # The state is an expression, which no index has. With statistics from a time when few rows had
    # that state, PostgreSQL would rather read all that have it now than use the index of task ids.
    where = "task_id = %s AND state || '' = %s"
    if claimed:
        where += " AND claim = %s"
    # A subquery, and no join: PostgreSQL checks the conditions on the row again when another
    # transaction has changed it meanwhile.
    if model is Item:
        # Also at a claim: no transaction that ends a step, or cancels its run, waits for a finish
        # that opens an item at the same time.
        where += (
            " AND EXISTS (SELECT 1 FROM parent_step JOIN parent_run "
            "ON parent_run.id = parent_step.run_id WHERE parent_step.id = parent_item.step_id "
            "AND parent_step.state = 'RUNNING' AND parent_run.cancel_requested_at IS NULL)"
        )
    elif claimed:
        where += (
            " AND NOT EXISTS (SELECT 1 FROM parent_run "
            "WHERE id = parent_step.run_id AND cancel_requested_at IS NOT NULL)"
        )
    table = connection.ops.quote_name(model._meta.db_table)
    return f"UPDATE {table} SET {sets} WHERE {where}"  # noqa: S608 - our names
