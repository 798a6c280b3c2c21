"""Options of the database, beside its URL."""

from typing import Any

__all__ = ["with_options"]

SQLITE_OPTIONS: dict[str, Any] = {
    # WAL lets readers go on while one writes. IMMEDIATE takes the write lock at BEGIN: a
    # transaction that reads first and writes later would otherwise fail with "database is
    # locked" at once, whatever the timeout.
    "transaction_mode": "IMMEDIATE",
    "timeout": 30,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}
POSTGRESQL_OPTIONS: dict[str, Any] = {
    # An unreachable server must not block a request for minutes.
    "connect_timeout": 5,
}


def with_options(database: dict[str, Any]) -> dict[str, Any]:
    """Django's settings of a database, with our options unless its URL has others."""
    if database["ENGINE"] == "django.db.backends.sqlite3":
        return database | {"OPTIONS": SQLITE_OPTIONS}
    return database | {"OPTIONS": POSTGRESQL_OPTIONS | database.get("OPTIONS", {})}
