"""Rows locked by other transactions: a tick does not wait for them, and tries again later.

The body of a child may lock one of the engine's rows for as long as its own transaction lasts. On
SQLite nothing can be skipped: a transaction that writes locks the whole database.
"""

import time
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any
from uuid import UUID

from celery.utils.log import get_logger
from django.db import connection

from parent.store.connections import prepared_cursor
from parent.store.outage import OUTAGE

__all__ = ["LockedRuns", "ShortLockTimeout", "is_locked", "lock_names", "try_lock_name"]

logger = get_logger(__name__)

LOCK_TIMEOUT = "20ms"
"""Longer than most transitions lock their run. If one takes longer, a later tick tries again."""

RECHECK_AFTER = 1.0
"""Seconds until a tick tries again with a run that another transaction had locked."""

LOCK_NOT_AVAILABLE = "55P03"  # https://www.postgresql.org/docs/current/errcodes-appendix.html


class ShortLockTimeout:
    """Limits how long the connections of one thread wait for a lock."""

    def __init__(self) -> None:
        self._connection: Any = None

    def __call__(self) -> None:
        """Set the limit, once for each connection."""
        connection.ensure_connection()
        if connection.vendor == "postgresql" and connection.connection is not self._connection:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, FALSE)", [LOCK_TIMEOUT])
            self._connection = connection.connection


class LockedRuns:
    """Runs that a tick found locked. Ticks skip them for a while, so that others are due first."""

    def __init__(self) -> None:
        self._until: dict[UUID, float] = {}

    def skip_if_locked(self, part: Callable[[], object], run: UUID | None = None) -> None:
        """Call `part`. If a row that it needs is locked, log that; a later tick tries again.

        Args:
            run: the run whose row it needs, if only one.
        """
        try:
            part()
        except OUTAGE as exc:
            if not is_locked(exc):
                raise
            if run is not None:
                self._until[run] = time.monotonic() + RECHECK_AFTER
            what = f"run {run}" if run else "a row that the tick needs"
            logger.info("%s is locked by another transaction; a later tick tries again", what)

    def runs(self) -> list[UUID]:
        """The runs to skip now."""
        now = time.monotonic()
        self._until = {run: until for run, until in self._until.items() if until > now}
        return list(self._until)


def lock_names(names: Iterable[str]) -> None:
    """Let no other transaction lock these names until the present one ends.

    On SQLite a transaction that writes locks out all others.
    """
    numbers = sorted(map(_number_of, names))
    if numbers and connection.vendor == "postgresql":
        with prepared_cursor() as cursor:
            # https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
            cursor.execute(
                "SELECT pg_advisory_xact_lock(number) FROM unnest(%s::bigint[]) AS number",
                [numbers],
            )


def try_lock_name(name: str) -> bool:
    """`lock_names`, if no other transaction has locked it; else False, at once."""
    if connection.vendor != "postgresql":
        return True
    with prepared_cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_number_of(name)])
        return bool(cursor.fetchone()[0])


def _number_of(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


def is_locked(error: BaseException) -> bool:
    """Whether the error is only that another transaction has locked a row."""
    return getattr(error.__cause__, "sqlstate", None) == LOCK_NOT_AVAILABLE
