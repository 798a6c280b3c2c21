"""Closes a body's database connections, because it may leave them in any state."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from celery.utils.log import get_task_logger
from django.db import Error, connections, transaction

__all__ = [
    "close_connections",
    "in_transaction",
    "in_transaction_there",
    "kept_transaction",
    "leave_pools",
]

logger = get_task_logger(__name__)

CANCEL_WITHIN = 1.0
"""Seconds for the server to accept the cancel of a query."""

ACTIVE, IN_TRANSACTION, IN_ERROR = 1, 2, 3
"""libpq's transaction states, the same with both drivers of PostgreSQL."""


def in_transaction(connection: Any) -> bool:
    """Whether a transaction is open on this connection, begun by Django or by SQL."""
    if connection.connection is None:
        return False
    return bool(connection.in_atomic_block) or in_transaction_there(connection)


def in_transaction_there(connection: Any) -> bool:
    """Whether a transaction is open on this connection, as its driver knows it."""
    match connection.vendor:
        case "postgresql":
            return _status(connection) in (IN_TRANSACTION, IN_ERROR)
        case "sqlite":
            return bool(connection.connection.in_transaction)
    return not connection.get_autocommit()


@contextmanager
def kept_transaction() -> Iterator[None]:
    """An inline body shares its caller's transaction, which stays usable after an error in here.

    A body that has broken the transaction, as an IntegrityError does on PostgreSQL, loses what it
    wrote. Nothing is done where no transaction is open.
    """
    if not transaction.get_connection().in_atomic_block:
        yield
        return
    savepoint = transaction.savepoint()
    try:
        yield
    finally:
        try:
            transaction.savepoint_commit(savepoint)
        except Error:
            transaction.set_rollback(False)
            transaction.savepoint_rollback(savepoint)


def close_connections() -> list[str]:
    """Close all connections of this thread and remove Django's objects for them.

    Returns:
        The aliases of connections with an open transaction. It is rolled back.
    """
    left_open = []
    for connection in connections.all(initialized_only=True):
        if connection.allow_thread_sharing:
            continue  # a test's connection, shared with its threads
        # Each of these raises if the body closed the driver's connection directly.
        with suppress(Exception):
            if in_transaction(connection):
                left_open.append(connection.alias)
        with suppress(Exception):
            _cancel(connection)
        with suppress(Exception):
            connection.close()
        del connections[connection.alias]
    return left_open


def _cancel(connection: Any) -> None:
    """Cancel a query that still runs on the server after a time limit. This frees its locks."""
    if connection.vendor != "postgresql" or _status(connection) != ACTIVE:
        return
    driver = connection.connection
    if hasattr(driver, "cancel_safe"):
        driver.cancel_safe(timeout=CANCEL_WITHIN)
    else:  # psycopg2
        driver.cancel()


def _status(connection: Any) -> int:
    return int(connection.connection.info.transaction_status)


def leave_pools() -> None:
    """Turn off connection pools (`"OPTIONS": {"pool": ...}`) in this process and in its forks.

    A pool is for short requests. In a worker each thread keeps its connection, so threads beyond
    the size of the pool would wait for ever. And a body would get the session settings and locks
    that another body left in a pooled connection.
    """
    every: Any = connections.all()
    for connection in every:
        options = connection.settings_dict["OPTIONS"]
        if options.get("pool"):
            connection.close()
            connection.close_pool()
            options["pool"] = False
