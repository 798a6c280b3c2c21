"""Detect that the broker has lost its data.

A broker that was flushed, restarted without its data or replaced by a replica that lagged does not
report it. So each check stores a new mark there. If the last mark is missing, messages sent after
it may be lost too.
"""

import time
from typing import Any, cast
from uuid import UUID, uuid4

from celery import current_app
from celery.utils.log import get_logger

from parent.messages.publish import RETRY

__all__ = ["BrokerMemory"]

logger = get_logger(__name__)

MARK_TTL = 3600  # seconds until the mark of a watcher that has exited is deleted
BACKOFF_FACTOR = 10
"""After a failed check wait ten times as long as it took, so that checks cost a tenth."""


class BrokerMemory:
    """One watcher's mark in the broker. Only Redis is checked."""

    def __init__(self, watcher: UUID) -> None:
        # One key per watcher: two at a time, or two services on one server, must not share it.
        self._key = f"parent.watch.{watcher}"
        self._mark: bytes | None = None
        self._ask_at = 0.0

    def may_have_lost_messages(self) -> bool:
        """Whether messages may have been lost since the last call.

        True at the first call: the broker may have failed together with the watcher before.
        False while it does not answer; the loss is found when it does.
        """
        began = time.monotonic()
        if began < self._ask_at:
            return False
        mark, pool = uuid4().bytes, cast("Any", current_app.pool)
        try:
            with pool.acquire(block=True) as connection:
                if connection.transport.driver_type != "redis":
                    return False
                connection.ensure_connection(**RETRY)
                client = connection.default_channel.client
                found = client.set(self._key, mark, ex=MARK_TTL, get=True)
        except Exception as exc:  # each transport raises errors of its own
            logger.debug("broker: %s; cannot check whether it lost messages", exc)
            now = time.monotonic()
            self._ask_at = now + BACKOFF_FACTOR * (now - began)
            return False
        known, self._mark = self._mark, mark
        return known is None or found != known
