"""Waiting out a database that is away: restarted, unreachable, or locked."""

import time
from collections.abc import Callable
from typing import TypeVar

from celery.utils.log import get_logger
from django.db import InterfaceError, OperationalError, connection

__all__ = ["OUTAGE", "outlast"]

T = TypeVar("T")

logger = get_logger(__name__)

OUTAGE = (OperationalError, InterfaceError)
FIRST_WAIT, LONGEST_WAIT = 0.05, 5.0  # seconds


def outlast(what: str, call: Callable[[], T], *, on_error: Callable[[], None] | None = None) -> T:
    """Call until the database answers; the message that brought us here will not come again.

    `call` must bear a second time: a commit whose answer was lost may have happened.
    Inside a transaction of the caller's the error is the caller's.
    """
    wait = FIRST_WAIT
    while True:
        try:
            return call()
        except OUTAGE as exc:
            if connection.in_atomic_block:
                raise
            if on_error is not None:
                on_error()
            logger.warning("database: %s; trying to %s again in %.2f s", exc, what, wait)
            connection.close()
            time.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)
