"""Rows that others hold: the watch waits for none of them, and comes back.

A body may hold a row of ours for as long as its own transaction takes. On SQLite there is nothing
to skip: who writes there has the whole database.
"""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from celery.utils.log import get_logger
from django.db import connection

from parent.store.outage import OUTAGE

__all__ = ["HeldByOthers", "NeverWait", "is_locked"]

logger = get_logger(__name__)

LOCK_TIMEOUT = "20ms"
"""Longer than a transition holds its run, mostly; a tick that meets one comes back all the same."""

COME_BACK_AFTER = 1.0
"""Seconds until a run that another transaction held is looked at again."""

LOCK_NOT_AVAILABLE = "55P03"  # https://www.postgresql.org/docs/current/errcodes-appendix.html


class NeverWait:
    """Keeps the connections of one thread from waiting for locks."""

    def __init__(self) -> None:
        self._done: Any = None

    def __call__(self) -> None:
        """Once for each connection that it opens."""
        connection.ensure_connection()
        if connection.vendor == "postgresql" and connection.connection is not self._done:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, FALSE)", [LOCK_TIMEOUT])
            self._done = connection.connection


class HeldByOthers:
    """What a tick found locked. It leaves these runs out for a while, so that those behind them
    get their turn.
    """

    def __init__(self) -> None:
        self._until: dict[UUID, float] = {}

    def unless_locked(self, part: Callable[[], object], run: UUID | None = None) -> None:
        """Do it. Where a row that it needs is locked, say so; a later tick comes back.

        Args:
            run: whose row that is.
        """
        try:
            part()
        except OUTAGE as exc:
            if not is_locked(exc):
                raise
            if run is not None:
                self._until[run] = time.monotonic() + COME_BACK_AFTER
            what = f"run {run}" if run else "a row that the tick needs"
            logger.info("%s is locked by another transaction; the next tick comes back", what)

    def runs(self) -> list[UUID]:
        """Those to leave out now."""
        now = time.monotonic()
        self._until = {run: until for run, until in self._until.items() if until > now}
        return list(self._until)


def is_locked(error: BaseException) -> bool:
    """Whether it only says that another transaction holds a row."""
    return getattr(error.__cause__, "sqlstate", None) == LOCK_NOT_AVAILABLE
