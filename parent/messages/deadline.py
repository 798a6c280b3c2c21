"""Waiting for an answer no longer than one can, whatever the other side does."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

__all__ = ["call_with_timeout"]

T = TypeVar("T")

MAX_PENDING = 64
"""Calls at once that nobody may wait for any more."""

_slots = threading.BoundedSemaphore(MAX_PENDING)


def call_with_timeout(seconds: float, call: Callable[[], T]) -> T:
    """Call in a thread of its own, in this context, and wait at most so long for the result.

    The timeouts of a library count from packet to packet, and from one try to the next; some of
    its waits, such as that for a name's address, have none. This one is the sum of all.

    Raises:
        TimeoutError: there is no result yet. The call goes on, and nobody hears of its end.
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
