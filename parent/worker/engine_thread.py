"""A thread for what the engine does on behalf of a body, beside the one that runs the body.

Django's connections belong to a thread. So no body can reach the engine's: not by a transaction
that it leaves open, nor by closing its connection, nor by a signal that breaks off a query. And
an event loop that runs in the body's thread does not forbid a statement here.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

__all__ = ["EngineThread", "SameThread", "engine_thread", "wait_ignoring_interruptions"]

T = TypeVar("T")


class SameThread:
    """No thread at all: an inline run shares its caller's connection, and its transaction."""

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
        """Have it done, after what was started before.

        A process that a body has forked has no such thread: it starts its own.
        """
        if self._pool is None or self._pid != os.getpid():
            self._pool, self._pid = ThreadPoolExecutor(1, "engine"), os.getpid()
        return self._pool.submit(work)


_local = threading.local()


def engine_thread() -> EngineThread:
    """The one beside this thread."""
    if not hasattr(_local, "thread"):
        _local.thread = EngineThread()
    thread: EngineThread = _local.thread
    return thread


def wait_ignoring_interruptions(work: "Future[T]") -> Exception | None:
    """Wait for the end of it, whatever a signal raises here meanwhile.

    Returns:
        That exception: a soft time limit's. What ends the process is no `Exception`, and is raised.
    """
    interruption = None
    while not work.done():
        try:
            wait([work])
        except Exception as exc:
            interruption = exc
    return interruption
