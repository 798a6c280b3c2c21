"""What an error of the database or the disk says, and waiting until the database answers."""

import errno
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from celery.utils.log import get_logger
from django.db import InterfaceError, OperationalError, connection

__all__ = ["OUTAGE", "is_disk_full", "is_of_this_process", "retry_while_database_is_down"]

T = TypeVar("T")

logger = get_logger(__name__)

OUTAGE = (OperationalError, InterfaceError)
BROKEN_FILES = ("SQLITE_IOERR", "SQLITE_NOTADB", "SQLITE_PROTOCOL")
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Of the disk, of a user's quota, of what a process may write."""
DISK_FULL = "53100"
"""PostgreSQL's code."""
FIRST_WAIT, LONGEST_WAIT = 0.05, 5.0  # seconds


def is_of_this_process(outage: Exception) -> bool:
    """Whether SQLite finds its files changed under it: somebody here has closed them."""
    name = getattr(outage.__cause__, "sqlite_errorname", "")
    return name.startswith(BROKEN_FILES)


def is_disk_full(exc: BaseException) -> bool:
    """Whether a file or a row could not be written for want of space."""
    if isinstance(exc, OperationalError):
        told = exc.__cause__
        code = getattr(told, "sqlite_errorcode", None)
        return code == sqlite3.SQLITE_FULL or getattr(told, "sqlstate", None) == DISK_FULL
    return isinstance(exc, OSError) and exc.errno in NO_SPACE


def retry_while_database_is_down(
    what: str, call: Callable[[], T], *, on_error: Callable[[Exception], None] | None = None
) -> T:
    """Call until the database answers; the message that brought us here will not come again.

    `call` must bear a second time: a commit whose answer was lost may have happened.
    Inside a transaction of the caller's the error is the caller's.
    """
    wait = FIRST_WAIT
    while True:
        try:
            return call()
        except OUTAGE as exc:
            if connection.in_atomic_block:
                raise
            if on_error is not None:
                on_error(exc)
            logger.warning("database: %s; trying to %s again in %.2f s", exc, what, wait)
            connection.close()
            time.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)
