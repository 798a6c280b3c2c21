"""An author's function inside of the engine's transaction: it uses it, and cannot end it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from django.db import DEFAULT_DB_ALIAS, ProgrammingError, connections, transaction

from children.isolation.connections import in_transaction_there
from children.isolation.contained import contained
from parent.errors import TransactionEnded

__all__ = ["authors_code"]

ENDS_TRANSACTION = re.compile(
    r"(?:^|;)[\s(]*"
    r"(COMMIT|END|ABORT|BEGIN|START|PREPARE\s+TRANSACTION"
    r"|ROLLBACK(?!\s+(?:(?:WORK|TRANSACTION)\s+)?TO\b))\b",
    re.IGNORECASE,
)
"""In a statement, or in one of several in a text: https://www.postgresql.org/docs/current/sql.html"""
COMMENTS = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)


@contextmanager
def authors_code() -> Iterator[None]:
    """Keeps what an author's function does from ending the engine's transaction or its process.

    What it writes is rolled back if it raises. Where no transaction is open, as at a start, none is
    begun: on SQLite it would lock out all other writers.

    Raises:
        ChildExit, ChildError: see `contained`.
        ProgrammingError: it left a transaction open.
        TransactionEnded: it ended the transaction, by the driver's own connection. Nothing can be
            written in it any more.
    """
    database: Any = connections[DEFAULT_DB_ALIAS]
    if not database.in_atomic_block:
        with contained():
            yield
        if database.in_atomic_block or not database.get_autocommit():
            with suppress(Exception):
                database.close()
            del connections[DEFAULT_DB_ALIAS]  # with what Django knows of the transaction
            raise _left_open()
        return
    with transaction.atomic():
        depth, known = len(database.savepoint_ids), len(database.run_on_commit)
        try:
            with database.execute_wrapper(_refuse_to_end), _open(database), contained():
                yield
            if len(database.savepoint_ids) != depth:
                raise _left_open()
            # If a callback of the author's fails after the commit, the engine's callbacks behind it
            # are still called.
            database.run_on_commit[known:] = [
                (savepoints, contained()(call), True)
                for savepoints, call, _ in database.run_on_commit[known:]
            ]
        finally:
            if not _goes_on(database):
                database.close()
                raise TransactionEnded("it ended the engine's transaction, in which it was called")
            if len(database.savepoint_ids) > depth:
                del database.savepoint_ids[depth:], database.atomic_blocks[depth + 1 :]


def _left_open() -> Exception:
    return ProgrammingError(
        "it left a transaction open: use transaction.atomic() as a context manager"
    )


def _refuse_to_end(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    text = sql.as_string(None) if hasattr(sql, "as_string") else str(sql)
    if found := ENDS_TRANSACTION.search(COMMENTS.sub(" ", text)):
        raise ProgrammingError(
            f"it executed {found[1].upper()}, but the transaction in which it was called is the "
            "engine's: leave that to the engine, or do it in a child"
        )
    return execute(sql, params, many, context)


@contextmanager
def _open(database: Any) -> Iterator[None]:
    """The connection cannot be closed in here."""

    def refuse() -> NoReturn:
        raise ProgrammingError(
            "it closed the connection, but the transaction in which it was called is the engine's"
        )

    database.close = refuse
    try:
        yield
    finally:
        with suppress(AttributeError):
            del database.close


def _goes_on(database: Any) -> bool:
    try:
        return in_transaction_there(database)
    except Exception:  # the driver's connection is closed
        return False
