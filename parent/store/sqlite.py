"""SQLite: a query that is still being read keeps its own connection from writing."""

from typing import Any

from django.db.backends.signals import connection_created

__all__ = ["connect"]


def connect() -> None:
    """Listen to new connections."""
    connection_created.connect(_read_whole_results, dispatch_uid="parent.store.sqlite")


def _read_whole_results(connection: Any, **_: Any) -> None:
    """Have `queryset.iterator()` read all rows at once.

    While a SELECT is open its connection sees the database as it was, and may not write once
    anybody else has: "database is locked", whatever the timeout. A tick writes several times a
    second, so `for row in rows.iterator(): row.save()` would fail
    (https://sqlite.org/lang_transaction.html, SQLITE_BUSY_SNAPSHOT).
    """
    if connection.vendor == "sqlite":
        connection.features.can_use_chunked_reads = False
