"""Waking a worker's event loop when a task has ended in a thread.

With `worker_disable_prefetch` a worker asks its broker for a message only while it has a free
slot. On the threads pool nothing tells the loop that a slot came free: it sleeps on, for up to
a second, with messages waiting (celery 5.7, kombu 5.7; prefork tells it by its pipes).
"""

import contextlib
import os
from typing import Any

from celery import bootsteps
from celery.worker.request import Request

__all__ = ["WakeStep", "WakingRequest"]

_bell: int | None = None


class WakeStep(bootsteps.StartStopStep):
    """Gives the event loop a pipe to listen to."""

    requires = ("celery.worker.components:Hub",)

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:  # noqa: ARG002
        """Called by Celery whenever its loop starts, after a broker's outage too."""
        global _bell
        if _bell is None:
            self._ear, _bell = os.pipe()
            os.set_blocking(self._ear, False)
            os.set_blocking(_bell, False)
        hub.add_reader(self._ear, lambda: os.read(self._ear, 4096))


class WakingRequest(Request):
    """A request whose end is heard by the event loop."""

    def on_success(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().on_success(*args, **kwargs)
        finally:
            wake()

    def on_failure(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().on_failure(*args, **kwargs)
        finally:
            wake()


def wake() -> None:
    """Ring the bell. A full pipe has rung already."""
    if _bell is not None:
        with contextlib.suppress(BlockingIOError):
            os.write(_bell, b"\0")
