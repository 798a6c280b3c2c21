"""Whether the roles that this machine has are well: for a container that asks itself."""

import http.client
import socket

from django.conf import settings
from django.db.models.functions import Now

from parent.models import Executor
from parent.store import executors
from parent.store.outage import OUTAGE

__all__ = ["web", "worker"]

TIMEOUT = 5  # seconds


def web() -> str | None:
    """What is wrong with the web server of this machine; None where it answers."""
    host = "127.0.0.1" if settings.WEB_HOST == "0.0.0.0" else settings.WEB_HOST  # noqa: S104
    connection = http.client.HTTPConnection(host, settings.WEB_PORT, timeout=TIMEOUT)
    try:
        connection.request("GET", "/healthz", headers={"Host": _allowed_host()})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as exc:
        return f"web: no answer on {host}:{settings.WEB_PORT} ({exc})"
    finally:
        connection.close()
    return None if status == http.HTTPStatus.OK else f"web: /healthz answers {status}"


def worker() -> str | None:
    """What is wrong with the workers of this machine; None where the heart of one beats."""
    host = socket.gethostname()
    try:
        alive = Executor.objects.filter(
            host=host, heartbeat_at__gt=Now() - executors.lease()
        ).exists()
    except OUTAGE as exc:
        return f"worker: the database does not say ({str(exc).strip()})"
    return None if alive else f"worker: no heartbeat of {host} within {executors.lease()}"


def _allowed_host() -> str:
    """A Host that Django takes."""
    first: str = next(iter(settings.ALLOWED_HOSTS), "localhost")
    return "localhost" if first == "*" else first.removeprefix(".")
