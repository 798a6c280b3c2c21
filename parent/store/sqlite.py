"""SQLite: a connection cannot write while it still reads the rows of a query."""

from typing import Any

from django.db.backends.signals import connection_created

__all__ = ["connect"]


def connect() -> None:
    """Call `_read_whole_results` for each new connection."""
    connection_created.connect(_read_whole_results, dispatch_uid="parent.store.sqlite")


def _read_whole_results(connection: Any, **_: Any) -> None:
    """Make `queryset.iterator()` read all rows at once.

    While a SELECT is open, its connection sees an old snapshot of the database. It cannot write any
    more once another connection has written: "database is locked", whatever the timeout. A tick
    writes several times a second, so `for row in rows.iterator(): row.save()` would fail
    (https://sqlite.org/lang_transaction.html, SQLITE_BUSY_SNAPSHOT).
    """
    if connection.vendor == "sqlite":
        connection.features.can_use_chunked_reads = False
