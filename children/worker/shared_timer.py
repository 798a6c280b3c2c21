"""Functions that are called a moment later, by one timer for the whole process.

A timer for each of them would cost a thread each, which takes as long as a short child.
"""

import os
import threading
from collections.abc import Callable
from itertools import count
from threading import Timer
from time import monotonic  # both by name: bodies replace the modules' own

from celery.utils.log import get_task_logger

__all__ = ["call_later", "cancel"]

logger = get_task_logger(__name__)

_lock = threading.RLock()  # a signal handler may report in the middle of it
_numbers = count()
_waiting: dict[int, tuple[float, Callable[[], object]]] = {}
"""By number: when to call, by the monotonic clock, and what."""
_next_at = float("inf")
"""When a timer looks at what waits. It starts the next one while something does."""


def call_later(seconds: float, work: Callable[[], object]) -> int:
    """Call `work` in another thread after so many seconds; returns a number for `cancel`.

    It must not take long: others wait behind it. A process without room for another thread calls
    it together with what comes next.
    """
    number, at = next(_numbers), monotonic() + seconds
    with _lock:
        _waiting[number] = at, work
        _look_by(at)
    return number


def cancel(number: int) -> None:
    """Do not call it any more. If it is being called now, nothing happens."""
    with _lock:
        _waiting.pop(number, None)


def _look_by(at: float) -> None:
    """Start a timer, unless one looks sooner. The caller holds the lock."""
    global _next_at  # noqa: PLW0603 - of the whole process
    if at < _next_at:
        timer = Timer(at - monotonic(), _call_due)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError as exc:
            logger.warning("no timer was started: %s", exc)
            return
        _next_at = at  # only now: a time limit may be raised in the start


def _call_due() -> None:
    global _next_at  # noqa: PLW0603 - of the whole process
    now = monotonic()
    with _lock:
        due = [number for number, (at, _) in _waiting.items() if at <= now]
        works = [_waiting.pop(number)[1] for number in due]
        _next_at = float("inf")
        if _waiting:
            _look_by(min(at for at, _ in _waiting.values()))
    for work in works:
        try:
            work()
        except Exception:
            logger.exception("%r failed", work)


def _forget() -> None:
    """A process that a body forks has no timer; what waits is called in the one that forked it."""
    global _lock, _next_at
    _lock, _next_at = threading.RLock(), float("inf")
    _waiting.clear()


os.register_at_fork(after_in_child=_forget)
