"""Finds out whether this process holds SQLite's only write lock after a body has ended.

A body can keep it with its own connection or in a thread that still runs. No other process can
write to the database until this process ends.
"""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from django.db import DEFAULT_DB_ALIAS, connections

__all__ = ["keeps_the_write_lock"]

LOCKS = Path("/proc/locks")
"""Linux's list of locks: `1: POSIX ADVISORY WRITE <pid> <major:minor:inode> <start> <end>`."""

RELEASED_WITHIN = 3.0
"""Seconds. A thread of the engine may hold the lock now; it is done by then."""


def keeps_the_write_lock() -> bool:
    """Whether this process holds the lock and does not release it. False if that is unknown."""
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.vendor != "sqlite":
        return False
    deadline = time.monotonic() + RELEASED_WITHIN
    # SQLite's files beside the database hold its locks in WAL mode (https://sqlite.org/wal.html).
    name = str(connection.settings_dict["NAME"])
    while _holds_one_of((name, f"{name}-shm")):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.02)
    return False


def _holds_one_of(paths: Iterable[str]) -> bool:
    try:
        with open(LOCKS, "rb", buffering=0) as locks:
            listed = locks.readall()
    except FileNotFoundError:
        return False
    # Nearly always it holds none, so the files are looked at last.
    held = re.findall(rb"POSIX +\S+ +WRITE %d \S+:(\d+) " % os.getpid(), listed)
    return bool(held) and any(
        b"%d" % os.stat(path).st_ino in held for path in paths if os.path.exists(path)
    )
