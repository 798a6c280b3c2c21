"""Delivers what is in the outbox, on threads of its own: a dead receiver delays nobody else."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from celery.utils.log import get_logger
from django.db import connections

from children.isolation.contained import contained
from children.meta import error_text
from children.sanitize import one_line
from parent.conf import interval, private_webhooks
from parent.errors import UnknownWorkflow
from parent.models import Delivery, DeliveryState, NotificationKind
from parent.notifications import email, outbox, webhook
from parent.notifications.next_try import Outcome, decide
from parent.notifications.rules import secrets_for
from parent.notifications.signing import signature_headers
from parent.store import clock
from parent.store.outage import OUTAGE
from parent.telemetry.metrics import metrics

__all__ = ["Courier", "CourierThread"]

logger = get_logger(__name__)

AT_ONCE = 8
"""Tries that a process makes side by side, each in another lane."""
INTERVAL = 1.0
"""Seconds between two looks at the outbox."""
USER_AGENT = "parentchild-webhooks"


@dataclass(frozen=True, kw_only=True, slots=True)
class Try:
    """A try that has ended, before it is written."""

    row: Delivery
    outcome: Outcome
    seconds: float


@dataclass
class Courier:
    """Claims what is due, and tries it. All statements are on the thread that calls `turn`."""

    _results: "SimpleQueue[Try | None]" = field(default_factory=SimpleQueue)
    _unwritten: list[Try] = field(default_factory=list)
    _busy: set[str] = field(default_factory=set)

    @property
    def busy(self) -> bool:
        """Whether a try goes on, or one that has ended is not written yet."""
        return bool(self._busy or self._unwritten)

    def wait(self, seconds: float) -> None:
        """Wait until a try ends, until `wake`, or until the time is over."""
        with suppress(Empty):
            self._take(self._results.get(timeout=seconds))

    def wake(self) -> None:
        """End a `wait` on another thread."""
        self._results.put(None)

    def _take(self, ended: Try | None) -> None:
        if ended is not None:
            self._unwritten.append(ended)

    def turn(self, *, claims: bool = True) -> None:
        """Write what has ended; claim what is due and begin to try it.

        Args:
            claims: False only writes.
        """
        while not self._results.empty():
            self._take(self._results.get())
        while self._unwritten:
            ended = self._unwritten[0]
            try:
                _write(ended)
            except OUTAGE:
                raise  # the next turn writes it
            except Exception:
                logger.exception("%s: the outcome cannot be written", ended.row.message_id)
            self._unwritten.pop(0)
            self._busy.discard(ended.row.lane)
        while claims and len(self._busy) < AT_ONCE:
            row = outbox.claim_next(self._busy, _lease())
            if row is None:
                return
            self._begin(row)

    def _begin(self, row: Delivery) -> None:
        work = _prepared(row)
        if work is None:
            return
        if isinstance(work, Outcome):
            _write(Try(row=row, outcome=work, seconds=0.0))
            return
        self._busy.add(row.lane)
        # A daemon: a worker that stops does not wait for a dead receiver. The claim lapses then.
        threading.Thread(
            target=self._try, args=(row, work), name=f"deliver {row.lane}", daemon=True
        ).start()

    def _try(self, row: Delivery, work: Callable[[], Outcome]) -> None:
        """Runs on a thread of its own, which makes no statements."""
        begun = time.monotonic()
        try:
            with contained():
                outcome = work()
        except Exception as exc:  # a mail backend of the project may raise anything
            logger.exception("%s could not be tried", row.message_id)
            outcome = Outcome(error=one_line(error_text(exc)))
        self._results.put(Try(row=row, outcome=outcome, seconds=time.monotonic() - begun))


def _lease() -> timedelta:
    """Longer than a try takes; an e-mail has several answers to wait for."""
    return timedelta(seconds=30 + 3 * interval("NOTIFICATION_TIMEOUT"))


def _prepared(row: Delivery) -> Callable[[], Outcome] | Outcome | None:
    """The try, with all that it needs of the database; an outcome if there is nothing to try."""
    timeout = interval("NOTIFICATION_TIMEOUT")
    try:
        if row.kind == NotificationKind.CODE:
            outbox.expand(row)
            return None
        if row.kind == NotificationKind.EMAIL:
            recipients = email.recipients_of(row)
            if not recipients:
                return Outcome(error="no recipient has an address", unwanted=True)
            try:
                with contained():  # its template may be the project's
                    message = email.message_for(row, recipients)
            except email.Decided as exc:
                return Outcome(error=str(exc), unwanted=True)
            return partial(email.send, message, timeout=timeout)
        return _webhook(row, timeout)
    except UnknownWorkflow as exc:
        return Outcome(error=f"this worker does not have the workflow's code: {exc}")
    except OUTAGE:
        raise
    except Exception as exc:
        logger.exception("%s could not be prepared", row.message_id)
        return Outcome(error=one_line(error_text(exc)))


def _webhook(row: Delivery, timeout: float) -> Callable[[], Outcome] | Outcome:
    if outbox.is_stopped(row.target):
        text = "the URL has answered 410 Gone: switch it on, then replay"
        return Outcome(error=text, unwanted=True)
    now = clock.now()
    signing = secrets_for(row, now)
    if signing is None:
        return Outcome(error="its rule is not there any more", unwanted=True)
    body = row.body.encode()
    headers = {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        **signature_headers(row.message_id, int(now.timestamp()), body, signing),
    }
    return partial(
        webhook.post, row.target, headers, body, timeout=timeout, allow_private=private_webhooks()
    )


def _write(ended: Try) -> None:
    row, outcome = ended.row, ended.outcome
    verdict = decide(outcome, row.attempts, random.uniform(0.9, 1.1))  # noqa: S311 - no secret
    if not outbox.settle(row, outcome, verdict, ended.seconds):
        return
    retried = verdict.state == DeliveryState.WAITING
    metrics.count("workflow_notifications", row.kind, "retried" if retried else verdict.state)
    if outcome.error:
        logger.log(
            20 if retried else 30,
            "notification %s to %s: %s (try %s, then %s)",
            *(row.message_id, row.lane, outcome.error, row.attempts, verdict.state),
        )


class CourierThread(threading.Thread):
    """Calls a courier's turns until stopped."""

    def __init__(
        self,
        may_claim: Callable[[], bool],
        lock: AbstractContextManager[Any] | None = None,
    ) -> None:
        """The thread, not started yet.

        Args:
            may_claim: whether this process delivers now; of all workers the one that ticks does.
            lock: is held while the thread uses the database.
        """
        super().__init__(name="courier", daemon=True)
        self._may_claim = may_claim
        self._lock = lock or nullcontext()
        self._stopping = threading.Event()
        self._courier = Courier()

    def stop(self) -> None:
        """Stop after the turn. What is being tried then is tried again when its claim lapses."""
        self._stopping.set()
        self._courier.wake()
        if self.is_alive():
            self.join(timeout=5)

    def run(self) -> None:
        courier = self._courier
        while not self._stopping.is_set():
            try:
                claims = self._may_claim()
                if claims or courier.busy:
                    with self._lock, contained():
                        courier.turn(claims=claims)
            except OUTAGE as exc:
                logger.warning("database: %s; notifications go on when it answers", exc)
                connections.close_all()
            except Exception:
                # The loop must survive any error: nothing else would deliver.
                logger.exception("the courier met an error and goes on")
            courier.wait(INTERVAL)
        connections.close_all()
