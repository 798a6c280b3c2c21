"""The engine inside a worker: heartbeat, ticks and deliveries, in threads beside the pool.

They do not run on Celery's event loop, where SQL would block consuming, nor as a Celery task, which
would need a slot.
"""

import os
import random
import threading
import time
from queue import Empty
from typing import Any, cast
from uuid import UUID

from celery import bootsteps, signals
from celery.apps.worker import Worker
from celery.utils.log import get_logger
from django.core.management import call_command
from django.db import connections
from django.db.models import QuerySet

from children.isolation.connections import leave_pools
from children.isolation.contained import contained
from parent.conf import setting
from parent.models import Item, Step, StepState
from parent.notifications.courier import CourierThread
from parent.runs.automatic_retry import RetryDecision
from parent.runs.endings import Ending, record
from parent.runs.items.end_of_item import end_of
from parent.store import leases
from parent.store.locks import ShortLockTimeout, is_locked
from parent.store.outage import OUTAGE
from parent.telemetry.log_context import about
from parent.telemetry.metrics import metrics
from parent.telemetry.totals import FLUSH_INTERVAL, flush_metrics
from parent.watch.tick import STANDBY_INTERVAL, Ticker
from parent.worker import revoke  # noqa: F401 - its command registers itself
from parent.worker.foreign_tasks import guard_tasks
from parent.worker.forks import courier_lock, hold_locks_while_forking, watch_lock
from parent.worker.heartbeat import Heartbeat
from parent.worker.host import Lost, lost_attempts
from parent.worker.pool import is_running
from parent.worker.remote_workers import register_id_command
from parent.worker.shutdown import end_despite_threads, hand_back

__all__ = ["WatchStep", "WatchThread"]

logger = get_logger(__name__)


class WatchStep(bootsteps.StartStopStep):
    """Registers this worker as an executor and runs its watch thread."""

    # After the pool: its processes must be forked before the thread and its connection exist.
    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._thread: WatchThread | None = None
        # Before the pool forks, so that its processes inherit this and the executor's id.
        leave_pools()
        self._executor_id = leases.assign_executor_id()
        register_id_command(self._executor_id)
        hold_locks_while_forking()
        guard_tasks(worker.app)
        call_command("check", databases=[])

    def start(self, worker: Any) -> None:
        queues = sorted(worker.app.amqp.queues.consume_from)
        pool = worker.pool_cls.__module__.rpartition(".")[2]
        self._thread = WatchThread(self._executor_id, queues, pool)
        self._thread.start()
        self._thread.heartbeat.registered.wait()
        # Not in `stop`: Celery calls that before it waits for running tasks, and those need a
        # heartbeat until they end.
        signals.worker_shutting_down.connect(self._on_shutting_down)
        signals.worker_shutdown.connect(self._on_shutdown)

    def _on_shutting_down(self, **_: Any) -> None:
        if self._thread is not None:
            self._thread.set_shutdown_grace(setting("SHUTDOWN_GRACE"))

    def _on_shutdown(self, sender: Any = None, **_: Any) -> None:
        if self._thread is not None:
            self._thread.stop()
        if isinstance(sender, Worker):  # else it runs inside of another program, as of a test
            end_despite_threads()


class WatchThread(threading.Thread):
    """Ends lost attempts and ticks until stopped. It owns the threads beside it: the heartbeat, and
    the courier that delivers notifications.
    """

    def __init__(self, executor_id: UUID, queues: list[str], pool: str) -> None:
        super().__init__(name="watch", daemon=True)
        self.heartbeat = Heartbeat(executor_id, queues, pool)
        self._executor_id = executor_id
        self._exit_at = float("inf")
        self._ticker = Ticker(executor_id)
        self._courier = CourierThread(lambda: self._ticker.held, courier_lock)
        self._due_at = time.monotonic()
        self._flush_metrics_at = 0.0
        self._never_wait = ShortLockTimeout()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Stop and release the watch lease."""
        self._stopping.set()
        self.join(timeout=5)

    def set_shutdown_grace(self, grace: float | None) -> None:
        """Give running children `grace` seconds; then requeue the rest and exit. None: no limit."""
        if grace is not None:
            self._exit_at = time.monotonic() + grace

    def run(self) -> None:
        self.heartbeat.start()
        self.heartbeat.registered.wait()
        self._courier.start()
        self._due_at = time.monotonic()
        while not self._stopping.is_set():
            wait = STANDBY_INTERVAL
            try:
                with watch_lock, contained():
                    self._never_wait()
                    wait = self.turn()
            except OUTAGE as exc:
                if is_locked(exc):
                    logger.info(
                        "watch: another transaction holds a needed row; the next tick tries again"
                    )
                    self._stopping.wait(wait)
                    continue
                logger.warning("database: %s; the watch goes on when it answers", exc)
                connections.close_all()
                self._ticker.extend_leases()
            except Exception:
                # The loop must survive any error: nothing else would supervise the other runs.
                logger.exception("the watch met an error and goes on")
            wait *= random.uniform(0.9, 1.1)  # noqa: S311 - jitter, no secret
            self._due_at = time.monotonic() + wait
            self._stopping.wait(wait)
        self._release_leases()

    def turn(self) -> float:
        """Run one turn; return the seconds until the next."""
        if time.monotonic() >= self._exit_at:
            self._hand_back_and_exit()
        self._end_lost()
        begun = time.monotonic()
        held = self._ticker.tick()
        if held:
            metrics.observe("workflow_tick_lag_seconds", begun - self._due_at)
            metrics.observe("workflow_tick_seconds", time.monotonic() - begun)
        if time.monotonic() >= self._flush_metrics_at:
            self._flush_metrics_at = time.monotonic() + FLUSH_INTERVAL
            flush_metrics(ended=held)
        return max(0.0, min(self._ticker.pause, self._exit_at - time.monotonic()))

    def _hand_back_and_exit(self) -> None:
        try:
            hand_back(self._executor_id)
            self._release_leases()
        except OUTAGE as exc:
            logger.warning("database: %s; nothing was handed back: the leases will expire", exc)
        finally:
            logger.warning(
                "exiting: the shutdown grace of %s s has passed", setting("SHUTDOWN_GRACE")
            )
            # Celery would wait for its pool. On Linux the kernel kills prefork processes with their
            # parent (celery 5.7 asks for that); elsewhere their attempts no longer count.
            os._exit(0)

    def _end_lost(self) -> None:
        """End the attempts whose own processes did not record an end."""
        for _ in range(lost_attempts.qsize()):
            try:
                lost = lost_attempts.get_nowait()
            except Empty:
                return
            try:
                self._end(lost)
            except OUTAGE as exc:
                lost_attempts.put(lost)  # it is recorded nowhere else
                if not is_locked(exc):
                    raise
            except Exception:
                logger.exception(
                    "%s: the step could not be ended, and is tried again", lost.task_id
                )
                lost_attempts.put(lost)

    def _end(self, lost: Lost) -> None:
        step = self._step_of(lost.task_id)
        if step is None or not (lost.process_died or self._is_abandoned(step)):
            return
        outcome = step.meta.failed(f"{step.name}: {lost.reason}")
        with about(step):
            ending = record(
                step.name, str(step.task_id), outcome, retry=RetryDecision(), end=end_of(step)
            )
        metrics.count(
            "workflow_processes_lost", by=lost.process_died and ending is not Ending.DROPPED
        )

    def _is_abandoned(self, step: Step | Item) -> bool:
        """Whether the row says RUNNING here, but no process of this worker runs the attempt.

        A duplicate message is done long before the first: then a process still runs it.
        """
        here = step.state == StepState.RUNNING and step.executor_id == self._executor_id
        return here and not is_running(step.carrier_id)

    def _step_of(self, message_id: str) -> Step | Item | None:
        """The step or item that ran in this message: its own, or the last that followed."""
        steps: QuerySet[Any] = Step.objects.select_related("run")
        items: QuerySet[Any] = Item.objects.select_related("step", "step__run")
        running = {"state": StepState.RUNNING, "executor": self._executor_id}
        for rows in (steps, items):
            if (here := rows.filter(message_id=message_id, **running).first()) is not None:
                return cast("Step | Item", here)
        found = (rows.filter(task_id=message_id).first() for rows in (steps, items))
        return next((row for row in found if row is not None), None)

    def _release_leases(self) -> None:
        self.heartbeat.stop()
        self._courier.stop()
        try:
            leases.release_watch_lease(self._executor_id)
            leases.retire(self._executor_id)
        except OUTAGE as exc:
            logger.warning("database: %s; the watch lease was not released: it will expire", exc)
        finally:
            connections.close_all()
