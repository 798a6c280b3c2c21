"""How often one user may start runs."""

import logging
import time
from typing import Any, cast

from django.core.cache import cache
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle

__all__ = ["StartThrottle", "count_start"]

logger = logging.getLogger(__name__)


class StartThrottle(SimpleRateThrottle):
    """Counts a user's starts and retries in windows of the rate's period: `60/min` is 60 in each
    minute of the clock.

    DRF's own counting reads a list and writes it back, and loses what another web process wrote
    in between. An increment loses nothing.
    """

    scope = "start"

    rate: str | None
    num_requests: int | None
    duration: int | None

    def get_rate(self) -> str | None:
        return cast("str | None", api_settings.DEFAULT_THROTTLE_RATES.get(self.scope))

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
        except Exception as exc:  # what a cache raises is the cache's own affair
            # A broker that is away does not stop a start, and the cache is often the same server.
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
    """Count a start that comes from a page.

    Raises:
        Throttled: there were too many of this user.
    """
    throttle = StartThrottle()
    if not throttle.allow_request(request, None):
        raise Throttled(throttle.wait())
