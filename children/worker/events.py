"""Celery's events of followers. A worker's main process sends the same for a message's own child.

A process sends its events together, because one event costs as much to send as many. An event must
never fail a child: if the broker does not take events, they are lost.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any

from celery import signals, states
from celery.utils.log import get_task_logger
from celery.utils.saferepr import saferepr

from children.worker.shared_timer import call_later

__all__ = ["Events", "Outbox", "outbox"]

logger = get_task_logger(__name__)

DELAY = 0.2
"""Seconds until an event is sent, at most."""


class Events:
    """The events of those who follow in one message.

    Args:
        request: the message's, as the worker's main process sent it.
        on: whether the worker sends events.
    """

    def __init__(self, request: Mapping[str, Any], *, on: bool) -> None:
        self._hostname = request.get("hostname")
        self._on = on

    def add_start(self, task: Any, request: Mapping[str, Any]) -> None:
        """The child was received, and has started."""
        copied = ("root_id", "parent_id", "retries", "eta", "expires")
        about = {"name": task.name, "args": request["argsrepr"], "kwargs": request["kwargsrepr"]}
        about |= {name: request[name] for name in copied}
        self._add(task, "task-received", request["id"], about)
        self._add(task, "task-started", request["id"], {})

    def add_outcome(self, task: Any, task_id: str, outcome: Any) -> None:
        """The child has ended; `outcome` is what Celery's tracer returned."""
        if outcome.info is None:
            fields = {"result": outcome.retstr, "runtime": outcome.runtime}
            self._add(task, "task-succeeded", task_id, fields)
        elif outcome.info.state == states.FAILURE:
            fields = {"exception": saferepr(outcome.info.retval)}
            self._add(
                task, "task-failed", task_id, fields | {"traceback": outcome.retval.traceback}
            )

    def _add(self, task: Any, kind: str, task_id: str, fields: dict[str, Any]) -> None:
        if self._on and task.send_events:
            event = {"uuid": task_id, "timestamp": time.time(), **fields}
            outbox.add(task.app, self._hostname, kind, event)


class Outbox:
    """What this process has not sent yet. Its threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        self._worker: tuple[Any, str | None] = None, None
        """The app and the host name: a process belongs to one worker."""
        self._will_send = False

    def add(self, app: Any, hostname: str | None, kind: str, event: dict[str, Any]) -> None:
        """Send the event of this worker, a moment later."""
        with self._lock:
            self._worker = app, hostname
            self._waiting.append((kind, event))
            if not self._will_send:
                call_later(DELAY, self.send)
                self._will_send = True  # only now: a time limit may be raised in the call

    def send(self, **_: Any) -> None:
        """Send what waits, now."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            app, hostname = self._worker
            self._will_send = False
        if not waiting:
            return
        try:
            with app.events.default_dispatcher(hostname=hostname) as dispatcher:
                dispatcher.buffer_group = frozenset({"task"})
                for kind, event in waiting:
                    dispatcher.send(kind, **event)
                dispatcher.flush()
        except Exception as exc:  # each transport raises errors of its own
            logger.info("broker: %s; %d events were not sent", exc, len(waiting))


outbox = Outbox()
"""The events of this process that are not sent yet."""

# A pool's process exits without Python's exit handlers.
signals.worker_process_shutdown.connect(outbox.send, dispatch_uid="children.worker.events.pool")
signals.worker_shutdown.connect(outbox.send, dispatch_uid="children.worker.events.worker")
