"""What the engine changes about the connections to the database."""

import time
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connection
from django.db.backends.signals import connection_created
from django.db.backends.utils import CursorWrapper

__all__ = ["connect", "prepared_cursor"]

REPLAN_AFTER = 5.0
"""Seconds for which a connection keeps the plans of its prepared statements."""

_planned: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
"""Since when a connection has the plans that it has, at most."""


def connect() -> None:
    """Call `_read_whole_results` for each new connection."""
    connection_created.connect(_read_whole_results, dispatch_uid="parent.store.connections")


def _read_whole_results(connection: Any, **_: Any) -> None:
    """Make `queryset.iterator()` read all rows at once.

    While a SELECT is open, its connection sees an old snapshot of the database. It cannot write any
    more once another connection has written: "database is locked", whatever the timeout. A tick
    writes several times a second, so `for row in rows.iterator(): row.save()` would fail
    (https://sqlite.org/lang_transaction.html, SQLITE_BUSY_SNAPSHOT).
    """
    if connection.vendor == "sqlite":
        connection.features.can_use_chunked_reads = False


def prepared_cursor() -> CursorWrapper:
    """A cursor for statements whose text is the same each time: PostgreSQL keeps them prepared.

    Only where the project allows it by `OPTIONS["prepare_threshold"]`, as poolers may not keep a
    prepared statement. Planning is more than half of what a report takes in PostgreSQL.
    """
    connection.ensure_connection()
    opened: Any = connection.connection
    if getattr(opened, "prepare_threshold", None) is None or connection.queries_logged:
        return connection.cursor()  # of prepared statements Django could not log the text
    _forget_old_plans(opened)
    # Django's cursors put the values into the text, which is another statement each time. All else
    # that they do, such as the errors that they raise, stays the same.
    # https://www.psycopg.org/psycopg3/docs/advanced/prepare.html
    usual, opened.cursor_factory = opened.cursor_factory, _server_binding()
    try:
        return connection.cursor()
    finally:
        opened.cursor_factory = usual


def _forget_old_plans(opened: Any) -> None:
    """Let PostgreSQL plan its prepared statements anew from time to time.

    A plan from a time when a table was small reads all of it, until the table is analyzed: by
    autovacuum that is a minute later, and each write of a row takes 2 ms more at 40,000 rows.
    """
    now = time.monotonic()
    if now - _planned.setdefault(opened, now) > REPLAN_AFTER:
        with connection.cursor() as cursor:
            cursor.execute("DISCARD PLANS")
        _planned[opened] = now


@cache
def _server_binding() -> Any:
    # It can only be imported where a driver is installed.
    from django.db.backends.postgresql.base import ServerBindingCursor  # noqa: PLC0415

    return ServerBindingCursor
