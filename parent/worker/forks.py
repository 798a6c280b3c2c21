"""Make forks of pool processes wait until no other thread uses SQLite.

SQLite counts a process's locks in its memory. A fork copies the counts but not the locks: a process
forked while a thread writes finds the database locked for ever. The pool forks again whenever one
of its processes dies, so a fork and the threads beside the pool must exclude each other.
"""

import os
import threading

from django.db import connection

__all__ = [
    "courier_lock",
    "heartbeat_lock",
    "hold_locks_while_forking",
    "revoke_lock",
    "watch_lock",
]

watch_lock, heartbeat_lock, revoke_lock = threading.RLock(), threading.RLock(), threading.RLock()
courier_lock = threading.RLock()
"""One per thread, held while it uses the database. The threads do not wait for each other."""


def hold_locks_while_forking() -> None:
    """Take these locks around each fork of this process. Only SQLite needs it."""
    if connection.vendor == "sqlite":
        for lock in (watch_lock, heartbeat_lock, revoke_lock, courier_lock):
            os.register_at_fork(
                before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
            )
