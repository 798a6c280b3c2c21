"""Functions that are called a moment later, by one timer for the whole process.

A timer for each of them would cost a thread each, which takes as long as a short child.
"""

import threading
import time
from collections.abc import Callable
from itertools import count

from celery.utils.log import get_task_logger

__all__ = ["call_later", "cancel"]

logger = get_task_logger(__name__)

_lock = threading.Lock()
_numbers = count()
_waiting: dict[int, tuple[float, Callable[[], object]]] = {}
"""By number: when to call, by the monotonic clock, and what."""
_next_at = float("inf")
"""When a timer looks at what waits. It starts the next one while something does."""


def call_later(seconds: float, work: Callable[[], object]) -> int:
    """Call `work` in another thread after so many seconds; returns a number for `cancel`.

    It must not take long: others wait behind it.
    """
    number, at = next(_numbers), time.monotonic() + seconds
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
        _next_at = at
        timer = threading.Timer(at - time.monotonic(), _call_due)
        timer.daemon = True
        timer.start()


def _call_due() -> None:
    global _next_at  # noqa: PLW0603 - of the whole process
    now = time.monotonic()
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
