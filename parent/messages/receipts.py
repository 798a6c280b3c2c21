"""What this worker has received and not begun: its messages are in no queue, but they are not lost.

A worker takes messages before it can run them: it prefetches, and it holds messages with an ETA or
over a rate limit. There is no way to ask every broker for these. So the worker itself writes it to
the rows of the steps and items, at each heartbeat.
"""

from datetime import datetime
from typing import Any
from uuid import UUID
from weakref import WeakSet

from celery import signals
from celery.utils.log import get_logger
from django.db import connection, transaction
from django.db.models import QuerySet

from children import host
from parent.models import Item, Step, StepState
from parent.store import clock
from parent.store.outage import OUTAGE

__all__ = ["Receipts", "connect"]

logger = get_logger(__name__)

LOCK_TIMEOUT = "200ms"
"""A heartbeat does not wait longer for a locked step."""

BATCH = 1_000

_requests: "WeakSet[Any]" = WeakSet()
"""Celery's requests for the messages of steps. Each lives from the receipt to the end of its task,
or until the worker drops it; also in the timer, in a rate limit's bucket, and in the pool's queue.
"""


def connect() -> None:
    """Connect to Celery's signal in this process."""
    signals.task_received.connect(_on_received, dispatch_uid="parent.messages.receipts")


def _on_received(request: Any, **_: Any) -> None:
    if host.HEADER in request.request_dict:
        _requests.add(request)


def _received() -> set[str]:
    """The ids of the messages that this worker has now."""
    while True:
        try:
            return {str(request.id) for request in list(_requests)}
        except RuntimeError:  # another thread has just added one
            continue


class Receipts:
    """Records in the steps and items which messages this executor has received."""

    def __init__(self, executor_id: UUID) -> None:
        self._executor_id = executor_id
        self._recorded: set[str] = set()

    def record(self) -> datetime | None:
        """Record what was received until now; return this time by the database's clock.

        None if a row is locked: the next heartbeat records it.
        """
        until, received = clock.now(), _received()
        try:
            with transaction.atomic():
                if connection.vendor == "postgresql":
                    with connection.cursor() as cursor:
                        cursor.execute(
                            "SELECT set_config('lock_timeout', %s, TRUE)", [LOCK_TIMEOUT]
                        )
                self._write(received - self._recorded, None, self._executor_id)
                self._write(self._recorded - received, self._executor_id, None)
        except OUTAGE as exc:
            logger.info("received messages: %s; the next heartbeat records them", exc)
            return None
        self._recorded = received
        return until

    def _write(self, ids: set[str], expected: UUID | None, new: UUID | None) -> None:
        which = {} if expected is None else {"received_by": expected}
        ordered = sorted(ids)
        for first in range(0, len(ordered), BATCH):
            batch = ordered[first : first + BATCH]
            for model in (Step, Item):
                rows: QuerySet[Any] = model._default_manager.all()
                queued = rows.filter(state=StepState.QUEUED, task_id__in=batch, **which)
                queued.update(received_by=new)
