"""A thread for the engine's statements, beside the thread that runs a child's body.

Django's connections belong to a thread, so a body cannot disturb the engine's connection: not by
an open transaction, nor by closing its own connection, nor by a signal that interrupts a query.
And Django allows statements here while an event loop runs in the body's thread.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["EngineThread", "SameThread", "engine_thread", "wait_ignoring_interruptions"]

T = TypeVar("T")


class SameThread:
    """No extra thread: an inline run shares its caller's connection and transaction."""

    separate = False

    def start(self, work: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()
        try:
            future.set_result(work())
        except BaseException as exc:
            future.set_exception(exc)
        return future


class EngineThread:
    """The engine's thread beside one thread of a worker's pool."""

    separate = True

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._pid = -1

    def start(self, work: Callable[[], T]) -> "Future[T]":
        """Queue the work behind what was started before.

        A process forked by a body does not inherit the thread: it starts its own.
        """
        if self._pool is None or self._pid != os.getpid():
            self._pool, self._pid = ThreadPoolExecutor(1, "engine"), os.getpid()
        return self._pool.submit(work)


_local = threading.local()


def engine_thread() -> EngineThread:
    """The engine thread that belongs to the current thread."""
    if not hasattr(_local, "thread"):
        _local.thread = EngineThread()
    thread: EngineThread = _local.thread
    return thread


def wait_ignoring_interruptions(work: "Future[T]") -> Exception | None:
    """Wait until the work is done, even if a signal handler raises here meanwhile.

    Returns:
        That exception, such as a soft time limit's. A `BaseException` that ends the process is
        raised.
    """
    interruption = None
    while not work.done():
        try:
            work.exception()  # waits for it, and raises nothing of it
        except Exception as exc:
            interruption = exc
    return interruption
