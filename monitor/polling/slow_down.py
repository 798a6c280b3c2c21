"""Callers poll less often while their polls take much of this process's time.

The time that goes into answers is lost to whatever shares the machine, or its database: above all
to the children whose progress the callers wait for. It is measured by the clock, not in processor
time: where all cores are busy each answer takes longer, and that too is a reason to ask less often.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import exp

__all__ = ["LONGEST_MS", "Pace", "pace"]

SHARE = 0.05
"""How many answers this process may be working on at a time, on average."""
SPAN = 5.0
"""Seconds in which an answer's weight falls to a third (1/e)."""
MOST = 10.0
"""So many times longer at most."""
LONGEST_MS = 5_000
"""No longer pause is made of a shorter one."""


class Pace:
    """How many times longer than usual callers shall wait, so that their polls take `SHARE`.

    Each answer counts as if its caller had not been asked to wait longer: so the sum stays the same
    whatever was asked, and the pauses do not swing.
    """

    def __init__(self) -> None:
        self._asked = 0.0
        self._at = float("-inf")
        self._lock = threading.Lock()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """A context in which a poll is answered."""
        began = time.monotonic()
        try:
            yield
        finally:
            now = time.monotonic()
            self.add(now - began, now)

    def add(self, seconds: float, now: float) -> None:
        """An answer has taken so long; `now` by the monotonic clock."""
        with self._lock:
            self._asked = self._asked_at(now) + seconds * self._factor(now) / SPAN
            self._at = max(self._at, now)

    def longer(self, pause_ms: float, now: float | None = None) -> float:
        """The pause in milliseconds, made longer if need be."""
        now = time.monotonic() if now is None else now
        return max(pause_ms, min(LONGEST_MS, pause_ms * self._factor(now)))

    def _factor(self, now: float) -> float:
        return min(MOST, max(1.0, self._asked_at(now) / SHARE))

    def _asked_at(self, now: float) -> float:
        """How many answers at a time callers would take who wait no longer than usual."""
        return self._asked * exp(min(0.0, self._at - now) / SPAN)


pace = Pace()
"""The pace of this process."""
