"""The rows of the outbox: claiming what is due, writing what became of it, replay.

A try is claimed before it begins, by an update under a condition. So of two processes one makes the
try. If it dies, the claim lapses, and another process tries again under the same message id.
"""

import hashlib
from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import F, Min
from django.db.models.functions import Now

from children.sanitize import clean_text
from parent.models import Delivery, DeliveryState, NotificationKind, StoppedWebhook
from parent.notifications.announce import deliveries_of
from parent.notifications.next_try import Outcome, Verdict
from parent.store import clock

__all__ = [
    "claim_next",
    "expand",
    "is_stopped",
    "oldest_age",
    "replay",
    "settle",
    "stop_url",
    "waiting",
]

LOGGED_TRIES = 20
"""Tries that a delivery's log keeps: all of them, unless it was replayed often."""


def waiting() -> Any:
    """The deliveries that will be tried."""
    return Delivery.objects.filter(state=DeliveryState.WAITING)


def claim_next(busy_lanes: Collection[str], lease: timedelta) -> Delivery | None:
    """The delivery that is due first, claimed for this process; None if there is none.

    Args:
        busy_lanes: lanes in which this process makes a try now.
        lease: until another process may try, if this one does not say how the try ended.
    """
    due = waiting().filter(due_at__lte=Now()).exclude(lane__in=busy_lanes)
    while True:
        found = due.select_related("run__owner", "rule", "firing__schedule").defer(
            "run__params", "run__files"
        )
        row: Delivery | None = found.defer("run__result").order_by("due_at", "pk").first()
        if row is None:
            return None
        claim = uuid4()
        # Another process may have claimed it since it was read.
        same = due.filter(pk=row.pk, claim=row.claim)
        if same.update(claim=claim, due_at=clock.now() + lease, attempts=F("attempts") + 1):
            row.claim, row.attempts = claim, row.attempts + 1
            return row


def settle(row: Delivery, outcome: Outcome, verdict: Verdict, seconds: float) -> bool:
    """Write how a claimed try ended; False if the claim no longer counts.

    Args:
        seconds: how long the try took.
    """
    now, error = clock.now(), clean_text(outcome.error)
    entry = {"at": now.isoformat(), "seconds": round(seconds, 3), "error": error}
    if outcome.status is not None:
        entry["status"] = outcome.status
    ended = verdict.wait is None
    columns = {
        "state": verdict.state,
        "due_at": None if ended else now + timedelta(seconds=verdict.wait or 0.0),
        "ended_at": now if ended else None,
        "claim": None,
        "status": outcome.status,
        "error": error,
        "log": [*row.log, entry][-LOGGED_TRIES:],
    }
    with transaction.atomic():
        if outcome.gone:
            stop_url(row.target)
        return bool(waiting().filter(pk=row.pk, claim=row.claim).update(**columns))


def expand(row: Delivery) -> None:
    """Replace a delivery of kind CODE by those that the workflow's code asks for.

    Raises:
        UnknownWorkflow: this process does not have the code.
    """
    deliveries = deliveries_of(row)
    with transaction.atomic():
        if waiting().filter(pk=row.pk, claim=row.claim).delete()[0]:
            Delivery.objects.bulk_create(deliveries)


def replay(ids: Iterable[UUID]) -> int:
    """Try these ended deliveries again, under the same message ids; returns how many.

    Those to a stopped URL are dropped again, unless somebody has switched it on.
    """
    ended = Delivery.objects.filter(pk__in=list(ids)).exclude(state=DeliveryState.WAITING)
    ended = ended.exclude(kind=NotificationKind.CODE)
    return int(
        ended.update(
            state=DeliveryState.WAITING, due_at=Now(), ended_at=None, claim=None, attempts=0
        )
    )


def stop_url(url: str) -> None:
    """Send nothing to this URL until somebody switches it on."""
    StoppedWebhook.objects.get_or_create(digest=_digest(url), defaults={"url": url})


def is_stopped(url: str) -> bool:
    return StoppedWebhook.objects.filter(digest=_digest(url)).exists()


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


def oldest_age() -> float:
    """Seconds since the oldest delivery that waits was written; 0 if none waits."""
    oldest = waiting().aggregate(first=Min("created_at"))["first"]
    return (clock.now() - oldest).total_seconds() if oldest else 0.0
