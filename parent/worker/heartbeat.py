"""The heartbeat of a worker: it renews the lease on all that the worker runs.

It also records which messages the worker has received (`parent.messages.receipts`).
"""

import threading
from collections.abc import Sequence
from uuid import UUID

from celery.utils.log import get_logger
from django.db import connections

from parent.conf import interval
from parent.messages.receipts import Receipts
from parent.store import leases
from parent.store.outage import OUTAGE, retry_while_database_is_down
from parent.worker.forks import heartbeat_lock

__all__ = ["Heartbeat"]

logger = get_logger(__name__)


class Heartbeat(threading.Thread):
    """Writes the heartbeat until stopped.

    It has a thread of its own because one tick may take longer than a lease: when the broker does
    not answer, or with a thousand lost steps.
    """

    def __init__(self, executor_id: UUID, queues: Sequence[str], pool: str) -> None:
        super().__init__(name="heart", daemon=True)
        self.registered = threading.Event()
        self._executor_id = executor_id
        self._receipts = Receipts(executor_id)
        self._queues = queues
        self._pool = pool
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Stop for good: a later heartbeat would register the executor again."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout=5)

    def run(self) -> None:
        retry_while_database_is_down("register this executor", self._beat)
        self.registered.set()
        while not self._stopping.wait(interval("HEARTBEAT")):
            try:
                self._beat()
            except OUTAGE as exc:
                logger.warning("database: %s; the heartbeat goes on when it answers", exc)
                connections.close_all()
        connections.close_all()

    def _beat(self) -> None:
        with heartbeat_lock:
            until = self._receipts.record()
            leases.renew_heartbeat(self._executor_id, self._queues, self._pool, until)
