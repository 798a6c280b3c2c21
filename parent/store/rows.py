"""Few rows, read and written by SQL that is kept, in few round trips.

Django builds the SQL of a query anew at each call, and for one row that takes several times as
long as the database takes to run it. Every child pays for the statements of a hand-over, so
these are here; all others are plain queries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, TypeVar, cast
from uuid import UUID

from django.db import models
from django.db.models import Field, Model

from parent.store import clock
from parent.store.large_results import largest_inline, leave_out, result_sql, size_sql
from parent.store.prepared import database, fetched, run
from parent.store.tables import converters

__all__ = [
    "Overtaken",
    "Select",
    "Update",
    "apply",
    "apply_if",
    "as_key",
    "select_all",
    "specials_of",
    "update",
    "update_row",
]

T = TypeVar("T", bound=Model)

AS_THEY_ARE = (models.CharField, models.TextField, models.IntegerField, models.FloatField)
"""Fields whose values both databases take as Python has them ..."""
AS_THEY_ARE_TO_POSTGRES = (*AS_THEY_ARE, models.DateTimeField, models.UUIDField)
"""... and PostgreSQL: with their time zones, and as a type of its own."""

MOST_AT_ONCE = 20
"""Updates that are one statement to PostgreSQL. More are statements of their own, sent together: it
takes 65,535 parameters at the most, and plans many parts in more than their share of time."""


class Overtaken(Exception):
    """A row is not as it was read any more. Roll back, and leave it to whoever changed it."""


@dataclass(frozen=True, slots=True)
class Select:
    """The rows of `model` for which `where` holds.

    Args:
        where: an SQL condition with one %s, for `key`, and an ORDER BY; never from input.
        lock: until the transaction ends, where the database locks rows; with its time as `db_now`.
        without: columns that are read only when they are asked for, as large results are.
    """

    model: type[Model]
    where: str
    key: UUID | str
    lock: bool = False
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """An UPDATE of one row. `required`: there must be that row."""

    sql: str
    params: Sequence[Any]
    required: bool = False


def select_all(*selects: Select) -> list[list[Any]]:
    """The rows of each.

    A later one sees what others have committed while an earlier one waited for its lock.
    """
    limit = largest_inline()
    statements = [
        (_select_sql(each.model, each.where, each.lock, each.without, limit), [as_key(each.key)])
        for each in selects
    ]
    answers = run(statements, fetched)
    return [
        [_row(each, values) for values in rows] for each, rows in zip(selects, answers, strict=True)
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
    params = [*values.values(), *where.values()]
    for place, field in specials_of(model, (*values, *where)):
        params[place] = field.get_db_prep_save(params[place], database())
    sql = _update_sql(model, tuple(values), tuple(times.items()), tuple(where))
    return Update(sql, params, required)


def apply(*updates: Update) -> list[bool]:
    """Do the updates, each of another row; for each, whether there was that row.

    Raises:
        Overtaken: a required one was not there. All are done then: roll back.
    """
    if 1 < len(updates) <= MOST_AT_ONCE and database().vendor == "postgresql":
        params = [value for each in updates for value in each.params]
        ((found,),) = run([(_at_once(tuple(each.sql for each in updates)), params)], fetched)
    else:
        statements = [(each.sql, each.params) for each in updates]
        found = run(statements, lambda cursor: cursor.rowcount > 0)
    if any(each.required and not there for each, there in zip(updates, found, strict=True)):
        raise Overtaken
    return list(found)


def apply_if(guard: tuple[str, Sequence[Any]], *updates: Update) -> list[bool]:
    """`apply` in one statement of PostgreSQL: none is done unless the SELECT `guard` finds a row,
    and the first update as well.

    Raises:
        Overtaken: one of the two found none. Nothing was done.
    """
    sql = _at_once(tuple(each.sql for each in updates), guard[0])
    params = [*guard[1], *(value for each in updates for value in each.params)]
    ((found,),) = run([(sql, params)], fetched)
    if not found[0]:
        raise Overtaken
    return list(found)


def update_row(model: type[Model], values: Mapping[str, Any], **options: Any) -> bool:
    """One `update`, done at once."""
    return apply(update(model, values, **options))[0]


@cache
def _select_sql(
    model: type[Model], where: str, lock: bool, without: tuple[str, ...], limit: int
) -> str:
    table = model._meta.db_table
    instead = {"result": result_sql(table, limit), "result_size": size_sql(table)}
    columns = ", ".join(instead.get(n, f'"{n}"') for n in _read(model, without)[0])
    suffix = ""
    if lock:
        columns += f", {clock.sql()}"
        # On SQLite a transaction has the whole database to itself.
        suffix = " FOR UPDATE" if database().features.has_select_for_update else ""
    return f"SELECT {columns} FROM {table} WHERE {where}{suffix}"  # noqa: S608 - our names


def _row(select: Select, values: Sequence[Any]) -> Any:
    columns, model, db = list(values), select.model, database()
    db_now = columns.pop() if select.lock else None
    names, converting = _read(model, select.without)
    for place, column, convert in converting:
        columns[place] = convert(columns[place], column, db)
    leave_out(names, columns)
    row: Any = model.from_db(db.alias, names, columns)
    if db_now is not None:
        row.db_now = clock.read(db_now)
    return row


@cache
def _read(model: type[Model], without: tuple[str, ...]) -> tuple[list[str], list[Any]]:
    """The columns that are read, and their `converters`."""
    fields = [field for field in model._meta.concrete_fields if field.attname not in without]
    return [field.attname for field in fields], converters(model, fields)


def as_key(key: UUID | str) -> UUID | str:
    """An id as the database has it."""
    if isinstance(key, str) or database().features.has_native_uuid_field:
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


@lru_cache  # of runs with many steps there are many combinations
def _at_once(updates: Sequence[str], guard: str = "") -> str:
    """One statement for all, where the database has such: it answers which have found a row."""
    parts, needs = [], ""
    if guard:
        parts, needs = [f"guard AS ({guard})"], " AND EXISTS (SELECT FROM guard)"
    for i, sql in enumerate(updates):
        parts.append(f"u{i} AS ({sql}{needs} RETURNING 1)")
        if guard:
            needs = " AND EXISTS (SELECT FROM u0)"
    found = ", ".join(f"EXISTS (SELECT FROM u{i})" for i in range(len(updates)))
    return f"WITH {', '.join(parts)} SELECT {found}"


def _unindexed(column: str) -> str:
    """The column; a state as an expression, which no index has.

    One row is asked for by its key. With statistics of a time when few rows were in that state,
    PostgreSQL would rather go through all that now are (with 300 QUEUED a claim took 0.2 ms more).
    """
    return "state || ''" if column == "state" else column


@cache
def specials_of(model: type[Model], columns: Sequence[str]) -> list[tuple[int, "Field[Any, Any]"]]:
    """The fields whose values the database does not take as Python has them, with their places."""
    as_they_are = AS_THEY_ARE_TO_POSTGRES if database().vendor == "postgresql" else AS_THEY_ARE
    fields = [cast("Field[Any, Any]", model._meta.get_field(column)) for column in columns]
    return [(i, field) for i, field in enumerate(fields) if not isinstance(field, as_they_are)]
