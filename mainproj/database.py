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
PREPARE_THRESHOLD = 5
"""PostgreSQL keeps one of the engine's statements prepared that a connection has sent so often."""


def with_options(database: dict[str, Any], max_age: float) -> dict[str, Any]:
    """Django's settings of a database, with our options unless its URL has others.

    Args:
        max_age: seconds that a connection is kept. With 0 a pooler may share connections between
            transactions, and prepared statements would be those of another process.
    """
    database |= {"CONN_MAX_AGE": max_age, "CONN_HEALTH_CHECKS": True}
    if database["ENGINE"] == "django.db.backends.sqlite3":
        return database | {"OPTIONS": SQLITE_OPTIONS}
    options = POSTGRESQL_OPTIONS | ({"prepare_threshold": PREPARE_THRESHOLD} if max_age else {})
    return database | {"OPTIONS": options | database.get("OPTIONS", {})}
