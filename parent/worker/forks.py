"""Pool processes that are forked while another thread is in the database.

SQLite counts the locks of a process in its memory. A fork copies the counts and not the locks: one
that comes while a thread writes has its process find the database locked for ever. The pool forks
anew whenever one of its processes dies, so the threads beside it and the fork wait for each other.
"""

import os
import threading

from django.db import connection

__all__ = ["heartbeat_lock", "hold_locks_while_forking", "revoke_lock", "watch_lock"]

watch_lock, heartbeat_lock, revoke_lock = threading.RLock(), threading.RLock(), threading.RLock()
"""Each held by its own thread while that is in the database: none waits for another."""


def hold_locks_while_forking() -> None:
    """Have forks of this process wait for them. With a server there are no such counts."""
    if connection.vendor == "sqlite":
        for lock in (watch_lock, heartbeat_lock, revoke_lock):
            os.register_at_fork(
                before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
            )
