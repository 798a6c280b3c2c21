"""Statements of kept SQL, which the database need not plan anew: all of them in one round trip."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.types.datetime import TimestamptzLoader

__all__ = ["database", "fetch", "fetched", "run"]

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
    if db.vendor == "postgresql":
        return _run_prepared(db, statements, answer)
    answers = []
    with db.cursor() as cursor:
        for sql, params in statements:
            cursor.execute(sql, params)
            answers.append(answer(cursor))
    return answers


def _run_prepared(
    db: Any, statements: Sequence[tuple[str, Sequence[Any]]], answer: Callable[[Any], R]
) -> list[R]:
    """By cursors that let the server keep what it has planned.

    Django's own put the values into the SQL, so that each is another statement to the server.
    """
    db.close_if_health_check_failed()
    db.ensure_connection()
    db.validate_no_broken_transaction()
    # An error of a pipeline shows at its end.
    with db.wrap_database_errors:
        cursors = [_cursor(db) for _ in statements]
        with db.connection.pipeline() if len(statements) > 1 else nullcontext():
            for cursor, (sql, params) in zip(cursors, statements, strict=True):
                cursor.execute(sql, params)
        return [answer(cursor) for cursor in cursors]


def _cursor(db: Any) -> Any:
    cursor = psycopg.Cursor(db.connection)
    # Django's own, which does the same, is Python.
    cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
    # In Django's wrapper where somebody counts or logs statements by it.
    watched = db.queries_logged or db.execute_wrappers
    return db._prepare_cursor(cursor) if watched else cursor
