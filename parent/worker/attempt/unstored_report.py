"""The report of an attempt that is not stored yet, and how long it waits."""

from collections.abc import Callable
from typing import Any

from children.meta import Meta

__all__ = ["EARLY", "LOOK_AGAIN", "Read", "WaitingReport"]

EARLY = 0.1
"""Seconds from its begin in which a child's reports are not stored yet. If it ends meanwhile, its
end says all, and nobody could have read them; else the newest is stored when they are over.
"""

LOOK_AGAIN = 0.25
"""Seconds until the next look at a body that is in a transaction of SQLite."""

Read = Callable[[], tuple[Meta, Any]]
"""Returns what is to be stored: the meta, and the checkpoint or None."""


class WaitingReport:
    """At most one: each report has the whole state, so a newer one takes its place.

    Args:
        now: the time of the attempt's begin; all times are seconds of one clock.
        interval: between two reports. Who asks for one each time gets it, early or not.
    """

    def __init__(self, now: float, interval: float) -> None:
        self._early_until = now + min(EARLY, interval)
        self._urgent = self._promised = False
        self.newest: Read | None = None

    def put(self, read: Read, *, urgent: bool = False) -> None:
        """The body has reported. An urgent report is never early."""
        self._urgent = self._urgent or urgent
        if not self._promised:  # what is promised is no older, whenever it is read
            self.newest = read

    def promise(self, read: Read) -> None:
        """The body has skipped a report: what `read` returns then is to be stored."""
        self.newest, self._promised = read, True

    def pause(self, now: float, *, blocked: bool) -> float:
        """Seconds until something may be stored; 0 is now.

        Args:
            blocked: whether the body is in a transaction that keeps all others from writing.
        """
        if blocked:
            return LOOK_AGAIN
        if self.newest is None or self._urgent:
            return 0.0
        return max(0.0, min(self._early_until - now, EARLY))

    def begin(self) -> Read | None:
        """What is to be read and stored now, if anything is. From now on another one is newer."""
        self._promised = False
        return self.newest

    def done(self, read: Read) -> None:
        """This one is stored, or refused. A newer one waits on."""
        if self.newest is read:
            self.newest, self._urgent = None, False

    def hurry(self) -> None:
        """Nothing is early any more."""
        self._early_until = float("-inf")

    def drop(self) -> None:
        """The end says all, but for a checkpoint."""
        if not self._urgent:
            self.newest = None
