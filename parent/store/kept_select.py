"""SELECTs whose SQL is kept: of the rows that every end of a child reads, a run and its steps.

Django builds the SQL of a query anew at each call. For models with as many columns as these that
takes longer than the database takes to answer: claim, report and end of a child that reports once
take 6.3 ms of this process's time on SQLite, and 9.5 ms with Django's own queries here; on
PostgreSQL it is 15 ms and 22 ms.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model

from parent.store import clock

__all__ = ["select"]

M = TypeVar("M", bound=Model)


def select(
    model: type[M],
    where: str,
    params: Sequence[Any],
    *,
    without: tuple[str, ...] = (),
    lock: bool = False,
) -> list[Any]:
    """The rows of `model` for which `where` holds, each with the database's time as `db_now`.

    Args:
        where: an SQL condition, and what follows it; never from input.
        params: for the `%s` in it, as the database takes them.
        without: fields that are read only when somebody takes them from the row.
        lock: keep the rows locked until the transaction ends. On SQLite a transaction that writes
            has the whole database to itself.
    """
    sql = _sql(model, where, without)
    if lock and connection.features.has_select_for_update:
        sql += " FOR UPDATE"
    rows: list[Any] = list(model._default_manager.raw(sql, params))
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
    if connection.vendor != "sqlite":  # SQLite answers with a text, and has this machine's time
        columns += f", {clock.SQL} AS db_now"
    return f"SELECT {columns} FROM {table} WHERE {where}"  # noqa: S608 - our names
