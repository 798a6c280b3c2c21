"""Probes of the programs. Each asks once and returns what is wrong; None if it answers."""

from pathlib import Path

import redis
from celery import current_app
from kombu.exceptions import OperationalError

from roles import health

__all__ = ["broker", "embedded_redis", "web", "worker"]

# Seconds for one answer on this machine.
TIMEOUT = 1.0


def embedded_redis(path: Path) -> str | None:
    """Send PING to the server on the Unix socket `path`."""
    client = redis.Redis(unix_socket_path=str(path), socket_timeout=TIMEOUT)
    try:
        client.ping()
    except redis.RedisError as exc:
        return str(exc)
    finally:
        client.close()
    return None


def broker(url: str) -> str | None:
    """Connect to the broker at `url` as Celery does, whichever kind it is."""
    if url.startswith("memory:"):
        return "no other process reaches one in memory"
    try:
        with current_app.connection_for_write(url) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
    except Exception as exc:  # each transport and each malformed URL raises its own errors
        return str(exc) or type(exc).__name__
    return None


def worker(name: str) -> str | None:
    """Ask the worker of that `name` which queues it consumes, over the broker of the Celery app."""
    try:
        inspect = current_app.control.inspect(destination=[name], timeout=TIMEOUT)
        queues = (inspect.active_queues() or {}).get(name)
    except OperationalError as exc:
        return str(exc)
    return None if queues else f"{name} consumes no queue"


def web(port: int) -> str | None:
    """Ask the web server for its health page."""
    return health.web_at("127.0.0.1", port, timeout=TIMEOUT)
