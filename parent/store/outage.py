"""Errors of an unavailable database or a full disk, and waiting until the database answers."""

import errno
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from celery.utils.log import get_logger
from django.db import InterfaceError, OperationalError, connection

__all__ = [
    "OUTAGE",
    "is_disk_full",
    "is_too_large",
    "retry_while_database_is_down",
    "sqlite_files_closed",
]

T = TypeVar("T")

logger = get_logger(__name__)

OUTAGE = (OperationalError, InterfaceError)
BROKEN_FILES = ("SQLITE_IOERR", "SQLITE_NOTADB", "SQLITE_PROTOCOL")
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""No space on the disk, in the user's quota, or in the largest file that a process may write."""
PROGRAM_LIMIT = "54"
"""Class of PostgreSQL's codes: https://www.postgresql.org/docs/current/errcodes-appendix.html"""
DISK_FULL = "53100"
"""PostgreSQL's error code."""
FIRST_WAIT, LONGEST_WAIT = 0.05, 5.0  # seconds


def is_too_large(error: BaseException) -> bool:
    """Whether a statement passed a limit of PostgreSQL: to repeat it would not help."""
    return str(getattr(error.__cause__, "sqlstate", None) or "").startswith(PROGRAM_LIMIT)


def sqlite_files_closed(outage: Exception) -> bool:
    """Whether SQLite's own files were closed or overwritten, by code in this process."""
    name = getattr(outage.__cause__, "sqlite_errorname", "")
    return name.startswith(BROKEN_FILES)


def is_disk_full(exc: BaseException) -> bool:
    """Whether a file or a row could not be written because there is no space."""
    if isinstance(exc, OperationalError):
        cause = exc.__cause__
        code = getattr(cause, "sqlite_errorcode", None)
        return code == sqlite3.SQLITE_FULL or getattr(cause, "sqlstate", None) == DISK_FULL
    return isinstance(exc, OSError) and exc.errno in NO_SPACE


def retry_while_database_is_down(
    what: str, call: Callable[[], T], *, on_error: Callable[[Exception], None] | None = None
) -> T:
    """Repeat `call` until the database answers; the caller's message will not be delivered again.

    `call` must be safe to repeat: a commit may have succeeded although its answer was lost.
    Inside a transaction of the caller's, an error is raised at once.

    Args:
        what: what `call` does, for the log, such as `claim <task id>`.
        on_error: called with each error before waiting.
    """
    wait = FIRST_WAIT
    while True:
        try:
            return call()
        except OUTAGE as exc:
            if connection.in_atomic_block or is_too_large(exc):
                raise
            if on_error is not None:
                on_error(exc)
            logger.warning("database: %s; trying to %s again in %.2f s", exc, what, wait)
            connection.close()
            time.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)
