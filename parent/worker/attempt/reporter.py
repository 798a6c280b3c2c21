"""When what an attempt reports and logs is stored: at once, or a moment later.

A later look is one of the process's timer. It finds what waits: a report of the first moment, one
that the body made in a transaction of SQLite or while the database was away, one that came sooner
than the report interval allows and that no other followed, and lines of the log.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from time import monotonic  # by name: bodies replace the module's own
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from children.isolation.connections import in_transaction
from children.meta import Meta
from children.worker.shared_timer import call_later, cancel
from parent.worker.attempt.unstored_report import Read, WaitingReport

__all__ = ["REPORT_TIMEOUT", "Reporter"]

REPORT_TIMEOUT = 1.0
"""Maximum seconds that a body waits until its report is stored, and until the next try."""


class Reporter:
    """Stores what an attempt reports, the newest only, and what it logs.

    Args:
        start: starts work on the thread that makes the attempt's statements.
        store: is called there, and stores the log and a report, if there is one. Returns False if
            the database is down or locked. What it raises the body gets, once.
        interval: seconds between two reports.
        separate: whether that thread is another one than the body's. Else all is stored at once.
    """

    def __init__(
        self,
        start: Callable[[Callable[[], None]], "Future[None]"],
        store: Callable[[tuple[Meta, Any] | None], bool],
        interval: float,
        *,
        separate: bool,
    ) -> None:
        self._start, self._store, self._separate = start, store, separate
        self._waiting = WaitingReport(monotonic(), interval if separate else 0.0)
        self._storing: Future[None] | None = None
        self._failure: BaseException | None = None
        self._look: int | None = None
        self._look_at = float("-inf")
        self._body: Any = None
        """The connection of the thread that has reported last."""
        self._pid = os.getpid()

    def report(self, meta: Meta, checkpoint: Any = None) -> None:
        """Store a report, or keep it for a moment; see `children.host.Attempt`."""
        self._raise_failure()
        if self._pid != os.getpid():
            self._begin_in_fork()
        self._body = connections[DEFAULT_DB_ALIAS]
        self._waiting.put(lambda: (meta, checkpoint), urgent=checkpoint is not None)
        pause = self._pause()
        if not pause:
            self._send()
            return
        self._look_in(pause)
        if self._body.in_atomic_block:  # the body may begin another transaction right after it
            transaction.on_commit(self._send_waiting)

    def report_later(self, seconds: float, read: Read) -> None:
        """Store what `read` returns then, unless a report comes; see `children.host.Attempt`."""
        if self._separate:
            self._waiting.promise(read)
            self._look_in(seconds)

    def store_later(self, seconds: float) -> None:
        """Store what was logged in so many seconds, if no report comes before."""
        self._look_in(seconds)

    def end(self) -> None:
        """The body has ended: its outcome says all that waits, but for a checkpoint."""
        self._waiting.drop()
        if self._look is not None:
            cancel(self._look)

    def _begin_in_fork(self) -> None:
        """A process that the body has forked reports at once: it may end in the next moment."""
        self._pid, self._storing, self._look_at = os.getpid(), None, float("-inf")
        self._waiting.hurry()

    def _pause(self) -> float:
        blocked = self._separate and _keeps_others_from_writing(self._body)
        return self._waiting.pause(monotonic(), blocked=blocked)

    def _send_waiting(self) -> None:
        if self._waiting.newest is not None and not self._pause():
            self._send()

    def _send(self) -> None:
        """Let it be stored. The body does not wait longer for a lock than `REPORT_TIMEOUT`."""
        latest = self._storing
        is_idle = latest is None or latest.done()
        if latest is None or is_idle or latest.running():  # it may have read what it stores
            self._storing = latest = self._start(self._store_newest)
        if is_idle:
            wait([latest], REPORT_TIMEOUT)
            self._raise_failure()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _look_in(self, seconds: float) -> None:
        """Look at what waits in so many seconds, unless that happens sooner."""
        now = monotonic()
        if now < self._look_at <= now + seconds:
            return
        if self._look is not None:
            cancel(self._look)
        self._look = call_later(seconds, self._begin_look)
        self._look_at = now + seconds  # only now: a time limit may be raised in the call

    def _begin_look(self) -> None:
        self._storing = self._start(self._store_newest)

    def _store_newest(self) -> None:
        if pause := self._pause():
            self._look_in(pause)
            return
        newest = self._waiting.begin()
        try:
            is_stored = self._store(newest and newest())
        except BaseException as exc:
            self._failure = exc
            is_stored = True  # no further try will do it
        if newest is None:
            return
        if is_stored:
            self._waiting.done(newest)
        elif self._separate:
            self._look_in(REPORT_TIMEOUT)


def _keeps_others_from_writing(body: Any) -> bool:
    """Whether this connection is in a transaction that blocks all other writers (SQLite)."""
    if body is None or body.vendor != "sqlite":
        return False
    with suppress(Exception):  # the driver's connection was closed under Django's
        return in_transaction(body)
    return False
