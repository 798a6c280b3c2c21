"""Limits how often a user may start runs."""

import logging
import time
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from monitor.conf import start_rate

__all__ = ["StartThrottle", "count_start"]

logger = logging.getLogger(__name__)


class StartThrottle(SimpleRateThrottle):
    """Counts a user's starts and retries in fixed windows: `60/min` is 60 in each minute of the
    clock.

    DRF's own throttle reads a list and writes it back, and so loses what another web process wrote
    in between. An increment is atomic.
    """

    scope = "start"

    rate: str | None
    num_requests: int | None
    duration: int | None

    def get_rate(self) -> str | None:
        return start_rate()

    def get_cache_key(self, request: Any, view: Any) -> str | None:  # noqa: ARG002 - DRF's signature
        return f"throttle:start:{request.user.pk}" if request.user.is_authenticated else None

    def allow_request(self, request: Any, view: Any) -> bool:
        key = self.get_cache_key(request, view) if self.rate is not None else None
        if key is None or self.duration is None or self.num_requests is None:
            return True
        window, gone = divmod(time.time(), self.duration)
        self._left = self.duration - gone
        try:
            count = _increment(f"{key}:{window:.0f}", timeout=2 * self.duration)
        except Exception as exc:  # each cache backend raises its own errors
            # A start works without the broker, and the cache is often the same server.
            logger.warning("cache: %s; starts are not counted until it answers", exc)
            return True
        return count <= self.num_requests

    def wait(self) -> float:
        """Seconds until the next window."""
        return self._left


def _increment(key: str, timeout: int) -> int:
    cache.add(key, 0, timeout=timeout)
    return cache.incr(key)


def count_start(request: HttpRequest | Request) -> None:
    """Count a start from a page.

    Raises:
        Throttled: this user has started too many.
    """
    throttle = StartThrottle()
    if not throttle.allow_request(request, None):
        raise Throttled(throttle.wait())
