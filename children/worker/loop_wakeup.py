"""Waking a worker's event loop when a task has ended by an exception in a thread.

With `worker_disable_prefetch` a worker asks its broker for a message only while it has a free
slot. On the threads pool nothing tells the loop that a slot came free through a failure or an
`Ignore`: it sleeps on, for most of a second, with messages waiting (measured with celery 5.7 and
kombu 5.7: 50 parents in a row took 34 s, and 2 s with this).
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
    """A request whose failure is heard by the event loop; so is an `Ignore`, to Celery one too."""

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
