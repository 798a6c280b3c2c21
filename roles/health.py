"""Health checks of web server and worker on this machine, for example for a container."""

import http.client
import socket

from django.conf import settings
from django.db.models.functions import Now

from monitor.probe_paths import HEALTH
from parent.models import Executor
from parent.store import leases
from parent.store.outage import OUTAGE

__all__ = ["web", "web_at", "worker"]

TIMEOUT = 5.0  # seconds
ON_ALL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""Where a server answers on this machine that listens on all addresses."""


def web() -> str | None:
    """What is wrong with the web server of this machine; None if it answers."""
    host = ON_ALL.get(settings.WEB_HOST, settings.WEB_HOST)
    problem = web_at(host, settings.WEB_PORT, timeout=TIMEOUT)
    return problem and f"web: {problem}"


def web_at(host: str, port: int, *, timeout: float) -> str | None:
    """What is wrong with the web server at this address; None if it answers.

    Args:
        timeout: seconds to wait for the answer.
    """
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", f"/{HEALTH}", headers={"Host": _allowed_host()})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as exc:
        return f"no answer on {host}:{port} ({exc})"
    finally:
        connection.close()
    return None if status == http.HTTPStatus.OK else f"/{HEALTH} answers {status}"


def worker() -> str | None:
    """What is wrong with the workers of this machine; None if one sends heartbeats."""
    host = socket.gethostname()
    try:
        alive = Executor.objects.filter(host=host, heartbeat_at__gt=Now() - leases.lease()).exists()
    except OUTAGE as exc:
        return f"worker: the database does not answer ({str(exc).strip()})"
    return None if alive else f"worker: no heartbeat of {host} within {leases.lease()}"


def _allowed_host() -> str:
    """A Host header that Django accepts."""
    first: str = next(iter(settings.ALLOWED_HOSTS), "localhost")
    return "localhost" if first == "*" else first.removeprefix(".")
