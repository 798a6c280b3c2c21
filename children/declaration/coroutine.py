"""Runs a body that is a coroutine (`async def`) in an event loop in a second thread.

Meanwhile the task's thread does the blocking work: Django's ORM (`sync_to_async`, `aget` and others
run there, on the task's connection) and the reports. Celery's time limits also raise there. Such an
exception is thrown into the body, at its current `await`.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from asgiref.sync import ThreadSensitiveContext

from children.errors import AttemptLost
from children.meta import Meta

__all__ = ["CoroutineBody", "in_event_loop"]

Send = Callable[[Meta], None]
T = TypeVar("T")


def in_event_loop() -> bool:
    """Whether the caller runs inside an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class CoroutineBody(Executor):
    """Runs one coroutine to its end.

    Args:
        coroutine: the body, not yet started.
        begin: called in the loop's thread before the body.
    """

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], *, begin: Callable[[], object] = lambda: None
    ) -> None:
        self._coroutine = coroutine
        self._begin = begin
        self._thread = threading.get_ident()
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._reports: deque[tuple[Send, Meta]] = deque(maxlen=1)
        self._result: Any = None
        self._raised: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thrown: BaseException | None = None
        self._lost: AttemptLost | None = None

    def run(self) -> Any:
        """Return what the body returns. Raises what it raises, also time limits."""
        inside = copy_context()
        threading.Thread(target=inside.run, args=(self._run_loop,), daemon=True).start()
        while True:
            try:
                call = self._calls.get()
                if call is None:
                    break
                call()
            except BaseException as exc:
                # Raised by a time limit's signal handler, or by a report.
                self._throw(exc)
        if late := self._lost or self._thrown:
            raise late
        if self._raised is not None:
            raise self._raised
        return self._result

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Call `fn` in the task's thread. This makes it the executor of `sync_to_async`."""
        future: Future[T] = Future()
        self._calls.put(partial(_call, future, partial(fn, *args, **kwargs)))
        return future

    def report(self, send: Send, meta: Meta) -> None:
        """Send a report from the task's thread. Only the newest waiting report is sent."""
        if threading.get_ident() == self._thread:
            self._send(send, meta)
        else:
            self._reports.append((send, meta))
            self._calls.put(self._send_newest)

    def call(self, work: Callable[[], T]) -> T:
        """Call `work` in the task's thread, and wait for it."""
        try:
            if threading.get_ident() == self._thread:
                return work()
            return self.submit(work).result()
        except AttemptLost as exc:
            self._lost = exc  # as `_send` does
            raise

    def _send_newest(self) -> None:
        with suppress(IndexError):  # an earlier call has sent it
            self._send(*self._reports.popleft())

    def _send(self, send: Send, meta: Meta) -> None:
        try:
            send(meta)
        except AttemptLost as exc:
            # Kept for `run`: a task group in the body would wrap the exception, and another task
            # would swallow it.
            self._lost = exc
            raise

    def _run_loop(self) -> None:
        try:
            self._begin()
            asyncio.run(self._main())
        except BaseException as exc:
            self._raised = exc
        finally:
            self._calls.put(None)

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        async with ThreadSensitiveContext(executor=self):
            try:
                self._result = await self
            except BaseException as exc:
                # Past the loop: it would ask the exception what it is, which may raise itself.
                self._raised = exc

    def _throw(self, exc: BaseException) -> None:
        self._thrown = exc
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended, and `run` raises `exc`
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._thrown is not None and self._task is not None:
            self._task.cancel()

    def __await__(self) -> Generator[Any, Any, Any]:
        """Run the coroutine. If a cancel comes from `_throw`, raise its exception in the body."""
        resume = partial(self._coroutine.send, None)
        while True:
            if self._thrown is not None:
                resume, self._thrown = partial(self._coroutine.throw, self._thrown), None
            try:
                waits_for = resume()
            except StopIteration as end:
                return end.value
            try:
                resume = partial(self._coroutine.send, (yield waits_for))
            except asyncio.CancelledError as exc:
                if self._thrown is not None and self._task is not None:
                    self._task.uncancel()
                resume = partial(self._coroutine.throw, exc)
            except BaseException as exc:
                resume = partial(self._coroutine.throw, exc)


def _call(future: "Future[Any]", fn: Callable[[], Any]) -> None:
    """Call `fn` and set the future's result, unless the future was cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = fn()
    except BaseException as exc:
        future.set_exception(exc)
    else:
        future.set_result(result)
