"""The cache: what several web processes count together."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis.backoff import NoBackoff
from redis.retry import Retry

__all__ = ["cache_beside"]

TIMEOUT = 0.5  # seconds; whoever waits for the cache is a person or a program with a request


def cache_beside(broker_url: str) -> dict[str, Any]:
    """A cache on the broker's server where that is Redis; else one in each process's memory.

    Args:
        broker_url: as Celery writes it: `redis://`, `rediss://`, `redis+socket://`.
    """
    parts = urlsplit(broker_url)
    if parts.scheme == "redis+socket":
        # Celery's form of what redis-py calls unix://
        number = parse_qs(parts.query).get("virtual_host", ["0"])[0].strip("/")
        broker_url = f"unix://{parts.path}?db={number}"
    elif parts.scheme not in ("redis", "rediss"):
        return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": broker_url,
        "KEY_PREFIX": "parentchild",
        "OPTIONS": {
            "socket_connect_timeout": TIMEOUT,
            "socket_timeout": TIMEOUT,
            "retry": Retry(NoBackoff(), 0),
        },
    }
