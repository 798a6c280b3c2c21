"""Statements with kept SQL, for the rows that every claim, report and end of a child concerns.

Django builds the SQL of a query anew for each call. For models with as many columns as `Run` and
`Step` that takes longer than the database's answer. A claim and a report take 0.3 ms each on
SQLite, and 1.2 and 2.5 ms with Django's own queries; on PostgreSQL 1.3 ms each, and 2.3 and 3.4 ms.
The two SELECTs of an end save 3 ms on SQLite and 7 ms on PostgreSQL.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar, cast
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Field, Model

from parent.models import Step, StepState
from parent.store import clock

__all__ = ["select", "update_attempt"]

M = TypeVar("M", bound=Model)


def select(
    model: type[M],
    where: str,
    params: Sequence[Any],
    *,
    without: tuple[str, ...] = (),
    lock: bool = False,
) -> list[Any]:
    """The rows of `model` that match `where`, each with the database's time as `db_now`.

    Args:
        where: an SQL condition, and what follows it (ORDER BY, LIMIT); never from a user's input.
        params: the values of its `%s`, in the database's types.
        without: deferred fields: each is read when it is first used.
        lock: lock the rows until the transaction ends. On SQLite a transaction that writes has
            the whole database locked.
    """
    sql = _sql(model, where, without)
    if lock and connection.features.has_select_for_update:
        sql += " FOR UPDATE"
    # Where the writes go, whatever a router says of reads.
    manager = model._default_manager.db_manager(DEFAULT_DB_ALIAS)
    rows: list[Any] = list(manager.raw(sql, params))
    for row in rows:
        row.db_now = getattr(row, "db_now", None) or clock.now()
    return rows


@cache
def _sql(model: type[Model], where: str, without: tuple[str, ...]) -> str:
    table = connection.ops.quote_name(model._meta.db_table)
    columns = ", ".join(
        connection.ops.quote_name(str(field.column))
        for field in model._meta.concrete_fields
        if field.attname not in without
    )
    if connection.vendor != "sqlite":  # on SQLite it would be a text; `clock.now` is the same time
        columns += f", {clock.NOW_SQL} AS db_now"
    return f"SELECT {columns} FROM {table} WHERE {where}"  # noqa: S608 - our names


def update_attempt(
    task_id: str,
    values: Mapping[str, Any],
    *,
    expected_state: StepState,
    claim: UUID | None = None,
    if_null: str = "",
) -> bool:
    """Write these columns of the step with this attempt; False if the attempt no longer counts.

    Args:
        values: by the fields' names. A `timedelta` is the database's time, plus that.
        expected_state: the attempt counts if its step is in this state.
        claim: and if the step has this claim, and nobody has cancelled the run. None: not checked.
        if_null: the name of a field that keeps its value if it has one.
    """
    is_delta = tuple((name, isinstance(value, timedelta)) for name, value in values.items())
    params = [_param(name, value) for name, value in values.items()]
    params += [task_id, expected_state.value]
    if claim is not None:
        params.append(_param("claim", claim))
    with connection.cursor() as cursor:
        cursor.execute(_update_sql(is_delta, claim is not None, if_null), params)
        return bool(cursor.rowcount)


def _param(name: str, value: Any) -> Any:
    if isinstance(value, timedelta):
        if connection.vendor != "sqlite":
            return value
        value = clock.now() + value
    return _field(name).get_db_prep_save(value, connection)


@cache
def _field(name: str) -> "Field[Any, Any]":
    return cast("Field[Any, Any]", Step._meta.get_field(name))


def _column(name: str) -> str:
    return connection.ops.quote_name(str(_field(name).column))


@cache
def _update_sql(columns: tuple[tuple[str, bool], ...], claimed: bool, if_null: str) -> str:
    now = "" if connection.vendor == "sqlite" else f"{clock.NOW_SQL} + "
    new = {_column(name): now * is_delta + "%s" for name, is_delta in columns}
    if if_null:
        kept = _column(if_null)
        new[kept] = f"COALESCE({kept}, {new[kept]})"
    sets = ", ".join(f"{column} = {value}" for column, value in new.items())
    # The state is an expression, which no index has. With statistics from a time when few rows had
    # that state, PostgreSQL would rather read all that have it now than use the index of task ids.
    where = "task_id = %s AND state || '' = %s"
    if claimed:
        # A subquery, and no join: PostgreSQL checks the conditions on the step again when another
        # transaction has changed its row meanwhile.
        where += (
            " AND claim = %s AND NOT EXISTS (SELECT 1 FROM parent_run "
            "WHERE id = parent_step.run_id AND cancel_requested_at IS NOT NULL)"
        )
    return f"UPDATE parent_step SET {sets} WHERE {where}"  # noqa: S608 - our names
