"""Statements of kept SQL, without what Django does anew for each: one round trip to PostgreSQL."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.types.datetime import TimestamptzLoader

__all__ = ["database", "fetch", "fetched", "run", "run_many"]

R = TypeVar("R")


def database() -> Any:
    """Django's connection itself: `django.db.connection` looks it up at each of its attributes,
    and a hand-over asks for a hundred.
    """
    return connections[DEFAULT_DB_ALIAS]


def fetch(sql: str, params: Sequence[Any]) -> list[Sequence[Any]]:
    """The rows of one SELECT, as the database gives them."""
    return run([(sql, params)], fetched)[0]


def fetched(cursor: Any) -> list[Sequence[Any]]:
    """The rows that a cursor has."""
    return list(cursor.fetchall())


def run(statements: Sequence[tuple[str, Sequence[Any]]], answer: Callable[[Any], R]) -> list[R]:
    """Run them in order; what `answer` makes of the cursor of each.

    Raises:
        django.db.Error: of any kind, as from Django's own cursors.
    """
    db = database()
    db.close_if_health_check_failed()
    db.ensure_connection()
    db.validate_no_broken_transaction()
    # Somebody counts or logs statements by Django's cursors.
    watched = db.queries_logged or db.execute_wrappers
    with db.wrap_database_errors:
        if db.vendor == "postgresql":
            return _run_prepared(db, statements, answer, watched)
        if db.vendor == "sqlite" and not watched:
            execute = db.connection.execute
            return [answer(execute(_with_marks(sql), params)) for sql, params in statements]
    return [_answer_of(db, sql, params, answer) for sql, params in statements]


def run_many(sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run one statement with each of these parameters, in a transaction; see `run`."""
    db = database()
    db.validate_no_broken_transaction()
    with db.wrap_database_errors:
        if db.queries_logged or db.execute_wrappers:
            with db.cursor() as cursor:
                cursor.executemany(sql, rows)
        elif db.vendor == "sqlite":
            db.connection.executemany(_with_marks(sql), rows)
        else:
            psycopg.Cursor(db.connection).executemany(sql, rows)


@lru_cache
def _with_marks(sql: str) -> str:
    """What Django's own cursor makes of it, anew at each call."""
    return sql.replace("%s", "?").replace("%%", "%")


def _answer_of(db: Any, sql: str, params: Sequence[Any], answer: Callable[[Any], R]) -> R:
    with db.cursor() as cursor:
        cursor.execute(sql, params)
        return answer(cursor)


def _run_prepared(
    db: Any,
    statements: Sequence[tuple[str, Sequence[Any]]],
    answer: Callable[[Any], R],
    watched: bool,
) -> list[R]:
    """By cursors that let the server keep what it has planned.

    Django's own put the values into the SQL, so that each is another statement to the server.
    """
    cursors = [_prepared_cursor(db, watched) for _ in statements]
    # An error of a pipeline shows at its end.
    with db.connection.pipeline() if len(statements) > 1 else nullcontext():
        for cursor, (sql, params) in zip(cursors, statements, strict=True):
            cursor.execute(sql, params)
    return [answer(cursor) for cursor in cursors]


def _prepared_cursor(db: Any, watched: bool) -> Any:
    cursor = psycopg.Cursor(db.connection)
    # Django's own, which does the same, is Python.
    cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
    return db._prepare_cursor(cursor) if watched else cursor
