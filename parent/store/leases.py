"""Executors and their leases, and the watch lease: the right to tick."""

import os
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from parent.conf import interval
from parent.models import Executor, WatchLease

__all__ = [
    "WATCH_LEASE",
    "acquire_watch_lease",
    "alive",
    "any_executor_alive",
    "assign_executor_id",
    "release_watch_lease",
    "renew_heartbeat",
    "retire",
    "this_executor",
    "watch_lease_lapsed_for",
]

WATCH_LEASE = timedelta(seconds=6)
KEEP_DEAD = timedelta(days=1)

_this: UUID | None = None


def assign_executor_id() -> UUID:
    """Give this worker process a new executor id. Prefork children inherit it by fork."""
    global _this  # noqa: PLW0603 - one executor a process
    _this = uuid4()
    return _this


def this_executor() -> UUID | None:
    """The id of the executor that this process belongs to; None outside a worker."""
    return _this


def renew_heartbeat(
    executor_id: UUID,
    queues: Sequence[str] = (),
    pool: str = "",
    received_until: datetime | None = None,
) -> None:
    """Renew the executor's lease on everything it runs; the first heartbeat registers it.

    Args:
        received_until: see `parent.messages.receipts`; None leaves it as it is.
    """
    columns = _clock_columns()
    if received_until is not None:
        columns["received_until"] = received_until
    if Executor.objects.filter(pk=executor_id).update(heartbeat_at=Now(), **columns):
        return
    Executor.objects.create(
        id=executor_id,
        host=socket.gethostname(),
        pid=os.getpid(),
        queues=list(queues),
        pool=pool,
        **columns,
    )


def _clock_columns() -> dict[str, datetime]:
    """This machine's time. Only `workflow doctor` reads it, to compare it with the database's."""
    return {"clock_at": timezone.now()}


def retire(executor_id: UUID) -> None:
    """Delete the row of an executor that stops, unless steps or items refer to it."""
    Executor.objects.filter(pk=executor_id, steps__isnull=True, items__isnull=True).delete()


def lease() -> timedelta:
    """How long after a heartbeat an executor counts as alive and keeps its attempts."""
    return timedelta(seconds=interval("LEASE"))


def alive() -> "QuerySet[Executor]":
    """The executors whose lease has not lapsed."""
    return Executor.objects.filter(heartbeat_at__gte=Now() - lease())


def any_executor_alive() -> bool:
    """Whether any executor is alive: without one, nothing runs."""
    return alive().exists()


def delete_dead() -> None:
    """Delete executors that have been dead for `KEEP_DEAD` and that no row refers to."""
    dead = Executor.objects.filter(heartbeat_at__lt=Now() - KEEP_DEAD)
    dead.filter(steps__isnull=True, items__isnull=True).delete()


def watch_lease_lapsed_for(time: timedelta) -> bool:
    """Whether the watch lease lapsed that long ago: its holder died, or the database was down."""
    left = WatchLease.objects.filter(holder__isnull=False, expires_at__lt=Now() - time)
    return left.exists()


def acquire_watch_lease(executor_id: UUID) -> bool:
    """Acquire or renew the watch lease; False while another executor holds it."""
    free = Q(holder=executor_id) | Q(holder=None) | Q(expires_at__lt=Now())
    held = WatchLease.objects.filter(free).update(
        holder=executor_id, expires_at=Now() + WATCH_LEASE
    )
    if not held and not WatchLease.objects.exists():
        # A new database has no row yet. The first executor that updates the row gets the lease.
        WatchLease.objects.bulk_create([WatchLease()], ignore_conflicts=True)
    return bool(held)


def release_watch_lease(executor_id: UUID) -> None:
    """Release the watch lease, so that another executor can tick at once."""
    WatchLease.objects.filter(holder=executor_id).update(holder=None)
