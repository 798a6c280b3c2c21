"""A disk that is full: what its errors look like."""

import errno
import sqlite3

from django.db import OperationalError

__all__ = ["is_full"]

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Of the disk, of a user's quota, of what a process may write."""
DISK_FULL = "53100"
"""PostgreSQL's code."""


def is_full(exc: BaseException) -> bool:
    """Whether a file or a row could not be written for want of space."""
    if isinstance(exc, OperationalError):
        told = exc.__cause__
        code = getattr(told, "sqlite_errorcode", None)
        return code == sqlite3.SQLITE_FULL or getattr(told, "sqlstate", None) == DISK_FULL
    return isinstance(exc, OSError) and exc.errno in NO_SPACE
