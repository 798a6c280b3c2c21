"""The cache, in which all web processes count together."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis.backoff import NoBackoff
from redis.retry import Retry

__all__ = ["SCHEMES", "cache_at"]

SCHEMES = ("redis", "rediss", "redis+socket")

TIMEOUT = 0.3  # seconds; a request waits for it


def cache_at(url: str) -> dict[str, Any]:
    """A cache on a Redis server; for any other URL one in the memory of each process.

    Args:
        url: in Celery's form, because it may be the broker's.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    if parts.scheme == "redis+socket":
        # Celery's form of what redis-py calls unix://
        number = parse_qs(parts.query).get("virtual_host", ["0"])[0].strip("/")
        url = f"unix://{parts.path}?db={number}"
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": url,
        "KEY_PREFIX": "parentchild",
        "OPTIONS": {
            "socket_connect_timeout": TIMEOUT,
            "socket_timeout": TIMEOUT,
            "retry": Retry(NoBackoff(), 0),
        },
    }
