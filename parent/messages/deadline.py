"""Call a function with a limit on the total time."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

__all__ = ["call_with_timeout"]

T = TypeVar("T")

MAX_PENDING = 64
"""Maximum number of calls that run at once, those that timed out included."""

_slots = threading.BoundedSemaphore(MAX_PENDING)


def call_with_timeout(seconds: float, call: Callable[[], T]) -> T:
    """Call in a new thread, in a copy of this context; wait at most `seconds` for the result.

    A library's timeouts apply to each packet and each try, and some waits, such as a DNS lookup,
    have none. This timeout covers them all together.

    Raises:
        TimeoutError: there is no result yet. The call goes on; its result is dropped.
    """
    if not _slots.acquire(blocking=False):
        raise TimeoutError(f"{MAX_PENDING} earlier calls have not been answered yet")
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(call())
        except BaseException as exc:
            result.set_exception(exc)
        finally:
            _slots.release()

    threading.Thread(target=copy_context().run, args=[run], daemon=True).start()
    try:
        return result.result(seconds)
    except TimeoutError:
        if result.done():
            raise  # the call's own
        raise TimeoutError(f"no answer within {seconds:g} s") from None
