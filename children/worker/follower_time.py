"""How long this process has worked on followers, while others perhaps wait."""

import time
from threading import Lock

__all__ = ["FollowerTime"]


class FollowerTime:
    """Counts the seconds during which at least one thread works on a follower.

    On the threads pool, seconds in which several threads do so count once: that is the longest
    time that a waiting message loses. While no thread does, threads take messages as usual.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._threads = 0
        self._seconds = 0.0
        self._counted_until = 0.0

    def __enter__(self) -> None:
        self._count(1)

    def __exit__(self, *error: object) -> None:
        self._count(-1)

    def seconds(self) -> float:
        """All of them until now."""
        return self._count(0)

    def _count(self, more_threads: int) -> float:
        with self._lock:
            now = time.monotonic()
            self._seconds += now - self._counted_until if self._threads else 0.0
            self._counted_until = now
            self._threads += more_threads
            return self._seconds
