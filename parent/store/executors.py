"""Executors and leases: who runs what, who is alive, and who may tick."""

import os
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from parent.conf import setting
from parent.models import Executor, WatchLease

__all__ = [
    "WATCH_LEASE",
    "alive",
    "any_alive",
    "beat",
    "boot",
    "hold_watch",
    "release_watch",
    "retire",
    "this_executor",
    "unwatched_for",
]

WATCH_LEASE = timedelta(seconds=6)
KEEP_DEAD = timedelta(days=1)

_this: UUID | None = None


def boot() -> UUID:
    """Give this process an id that no other boot has. Prefork children inherit it by fork."""
    global _this  # noqa: PLW0603 - one executor a process
    _this = uuid4()
    return _this


def this_executor() -> UUID | None:
    """The id of the executor that this process belongs to; None outside a worker."""
    return _this


def beat(executor_id: UUID, queues: Sequence[str] = (), pool: str = "") -> None:
    """Renew the executor's lease on everything it runs; the first beat registers it."""
    if Executor.objects.filter(pk=executor_id).update(heartbeat_at=Now(), **its_clock()):
        return
    Executor.objects.create(
        id=executor_id,
        host=socket.gethostname(),
        pid=os.getpid(),
        queues=list(queues),
        pool=pool,
        **its_clock(),
    )


def its_clock() -> dict[str, datetime]:
    """This machine's time beside the database's; nothing is decided by it, but the doctor looks."""
    return {"clock_at": timezone.now()}


def retire(executor_id: UUID) -> None:
    """The executor stops; keep its row where steps name it."""
    Executor.objects.filter(pk=executor_id, steps__isnull=True).delete()


def lease() -> timedelta:
    """How long an executor may be silent before what it runs is taken from it."""
    return timedelta(seconds=setting("LEASE") or 30)


def alive() -> "QuerySet[Executor]":
    """The executors whose lease has not lapsed."""
    return Executor.objects.filter(heartbeat_at__gte=Now() - lease())


def any_alive() -> bool:
    """Whether there is an executor whose heart beats: without one, nothing runs."""
    return alive().exists()


def delete_dead() -> None:
    """Delete executors that have been dead for long and that no step names."""
    Executor.objects.filter(heartbeat_at__lt=Now() - KEEP_DEAD, steps__isnull=True).delete()


def unwatched_for(time: timedelta) -> bool:
    """Whether the right to tick lapsed so long ago: its holder died, or the database was away."""
    left = WatchLease.objects.filter(holder__isnull=False, expires_at__lt=Now() - time)
    return left.exists()


def hold_watch(executor_id: UUID) -> bool:
    """Take or renew the right to tick; False while another executor holds it."""
    free = Q(holder=executor_id) | Q(holder=None) | Q(expires_at__lt=Now())
    held = WatchLease.objects.filter(free).update(
        holder=executor_id, expires_at=Now() + WATCH_LEASE
    )
    if not held and not WatchLease.objects.exists():
        # The first executor of a new database; whoever renews the row first will hold it.
        WatchLease.objects.bulk_create([WatchLease()], ignore_conflicts=True)
    return bool(held)


def release_watch(executor_id: UUID) -> None:
    """Let another executor tick at once."""
    WatchLease.objects.filter(holder=executor_id).update(holder=None)
