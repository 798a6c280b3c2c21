"""Noticing that the broker has lost its memory.

One that was emptied, that came back without what it held, or whose place a copy has taken that
lagged behind, tells nobody. So it keeps a mark for us, a new one each time we ask: where the last
one is not there any more, what was sent after it may be gone as well.
"""

import time
from typing import Any, cast
from uuid import UUID, uuid4

from celery import current_app
from celery.utils.log import get_logger

from parent.messages.publish import RETRY

__all__ = ["BrokerMemory"]

logger = get_logger(__name__)

MARK_TTL = 3600  # seconds; the mark of a watcher that has gone does not stay for ever
BACKOFF_FACTOR = 10
"""A broker that does not answer is asked so rarely that it costs a tenth of the time."""


class BrokerMemory:
    """What one watcher knows of it. Of a broker that is not Redis it never says anything."""

    def __init__(self, watcher: UUID) -> None:
        # Its own: two that watch for a moment, or share a server, do not mislead each other.
        self._key = f"parent.watch.{watcher}"
        self._mark: bytes | None = None
        self._ask_at = 0.0

    def may_have_lost_messages(self) -> bool:
        """Whether messages may have been lost since the last call.

        At the first call they may: the broker may have gone with the watcher before. While it
        does not answer nothing is known, and the answer comes when it does.
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
        except Exception as exc:  # what a transport raises is the transport's own affair
            logger.debug("broker: %s; nobody knows what it has kept", exc)
            now = time.monotonic()
            self._ask_at = now + BACKOFF_FACTOR * (now - began)
            return False
        known, self._mark = self._mark, mark
        return known is None or found != known
