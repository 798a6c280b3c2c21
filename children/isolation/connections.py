"""A body's database connections: it may leave them in any state, so none outlives it."""

from contextlib import suppress
from typing import Any

from celery.utils.log import get_task_logger
from django.db import connections
from psycopg.pq import TransactionStatus

__all__ = ["close_connections", "in_transaction"]

logger = get_task_logger(__name__)

CANCEL_WITHIN = 1.0
"""Seconds in which a server must take note that nobody waits for a query any more."""


def in_transaction(connection: Any) -> bool:
    """Whether this thread's connection has a transaction open, by Django or by SQL."""
    if connection.connection is None:
        return False
    if connection.in_atomic_block:
        return True
    match connection.vendor:
        case "postgresql":
            return _status(connection) in (TransactionStatus.INTRANS, TransactionStatus.INERROR)
        case "sqlite":
            return bool(connection.connection.in_transaction)
    return not connection.get_autocommit()


def close_connections() -> list[str]:
    """Close all connections of this thread, and forget what Django knows of them.

    Returns:
        The aliases of those that had a transaction open. It is rolled back.
    """
    left_open = []
    for connection in connections.all(initialized_only=True):
        if connection.allow_thread_sharing:
            continue  # a test's, shared with its threads
        # A connection that was broken under Django raises at any of these.
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
    """End what the server still does for a query that a time limit broke off, and its locks."""
    if connection.vendor == "postgresql" and _status(connection) == TransactionStatus.ACTIVE:
        connection.connection.cancel_safe(timeout=CANCEL_WITHIN)


def _status(connection: Any) -> TransactionStatus:
    return TransactionStatus(connection.connection.info.transaction_status)
