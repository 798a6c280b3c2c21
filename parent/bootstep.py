"""The worker's part in the engine: a heartbeat and the ticks, in a thread beside the pool.

Never on Celery's event loop, which SQL would stop from consuming, and never as a Celery task,
which would need a slot.
"""

import random
import threading
import time
from queue import Empty
from typing import Any
from uuid import UUID

from celery import bootsteps
from celery.utils.log import get_logger
from django.core.management import call_command
from django.db import connections

from parent import executors
from parent.advance import end_attempt
from parent.conf import setting
from parent.engine import lost_attempts
from parent.models import Step
from parent.outage import OUTAGE, outlast
from parent.tick import Ticker

__all__ = ["WatchStep", "WatchThread"]

logger = get_logger(__name__)

STANDBY = 2.0
"""Seconds between two tries for the watch lease of an executor that does not hold it."""


class WatchStep(bootsteps.StartStopStep):
    """Registers this worker as an executor, and runs its watch thread."""

    # After the pool: its processes are forked before the thread and its connection exist.
    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._thread: WatchThread | None = None
        # Before the pool is forked, so that its processes know whose executor they are.
        self._executor_id = executors.boot()
        call_command("check", databases=[])

    def start(self, worker: Any) -> None:
        queues = sorted(worker.app.amqp.queues.consume_from)
        self._thread = WatchThread(self._executor_id, queues)
        self._thread.start()
        self._thread.registered.wait()

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        if self._thread is not None:
            self._thread.stop()

    def terminate(self, parent: Any) -> None:
        self.stop(parent)


class WatchThread(threading.Thread):
    """Beats, ends what died, and ticks, until it is told to stop."""

    def __init__(self, executor_id: UUID, queues: list[str]) -> None:
        super().__init__(name="watch", daemon=True)
        self.registered = threading.Event()
        self._executor_id = executor_id
        self._queues = queues
        self._ticker = Ticker(executor_id)
        self._stopping = threading.Event()
        self._beat_at = 0.0

    def stop(self) -> None:
        """Stop, and hand over the watch lease."""
        self._stopping.set()
        self.join(timeout=5)

    def run(self) -> None:
        outlast("register this executor", self._beat)
        self.registered.set()
        while not self._stopping.is_set():
            wait = STANDBY
            try:
                wait = self.turn()
            except OUTAGE as exc:
                logger.warning("database: %s; the watch goes on when it answers", exc)
                connections.close_all()
            except Exception:
                # The watch outlives whatever one turn meets: nobody else would end the rest.
                logger.exception("the watch met an error and goes on")
            self._stopping.wait(wait * random.uniform(0.9, 1.1))  # noqa: S311 - jitter, no secret
        self._hand_over()

    def turn(self) -> float:
        """One turn; returns the seconds to wait until the next."""
        if time.monotonic() >= self._beat_at:
            self._beat()
        self._end_lost()
        return (setting("POLL_INTERVAL") or 0.5) if self._ticker.tick() else STANDBY

    def _beat(self) -> None:
        executors.beat(self._executor_id, self._queues)
        self._beat_at = time.monotonic() + (setting("HEARTBEAT") or 5.0)

    def _end_lost(self) -> None:
        """End the attempts whose process died under this worker."""
        while True:
            try:
                task_id, reason = lost_attempts.get_nowait()
            except Empty:
                return
            step = Step.objects.filter(task_id=task_id).first()
            if step is not None:
                end_attempt(task_id, step.meta.failed(f"{step.name}: {reason}"))

    def _hand_over(self) -> None:
        try:
            executors.release_watch(self._executor_id)
            executors.retire(self._executor_id)
        except OUTAGE as exc:
            logger.warning("database: %s; the watch lease lapses by itself", exc)
        finally:
            connections.close_all()
