"""Health probes: each returns what is wrong, or None."""

from dataclasses import dataclass
from typing import Any, cast

from celery import current_app
from django.conf import settings
from django.db import DatabaseError, connection

from parent.messages.deadline import call_with_timeout
from parent.messages.publish import RETRY
from parent.setting_names import in_celery, in_project, is_our_service
from parent.store import leases

__all__ = ["Problem", "broker", "database", "how_to_start", "workers"]

PATIENCE = 1.0  # seconds for the broker; the probe that asks has a short timeout itself


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and what to do."""

    what: str
    do: str

    def __str__(self) -> str:
        return f"{self.what}. {self.do}"


def database() -> Problem | None:
    """Check that the database answers a query."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as exc:
        return Problem(
            f"the database does not answer ({_first_line(exc)})",
            f"Is its server up, and is {in_project('DATABASE_URL', 'DATABASES')} right?",
        )
    return None


def broker() -> Problem | None:
    """Check that the broker answers, over a pooled connection."""
    try:
        call_with_timeout(PATIENCE, _ask_broker)
    except Exception as exc:  # each transport raises errors of its own
        return Problem(
            f"the broker does not answer ({_first_line(exc)})",
            f"Is its server up, and is {in_project('REDIS_URL', in_celery('broker_url'))} right? "
            "Runs wait in the database meanwhile.",
        )
    return None


def _ask_broker() -> None:
    with cast("Any", current_app.pool).acquire(block=True, timeout=PATIENCE) as kept:
        kept.ensure_connection(**RETRY)
        if kept.transport.driver_type == "redis":
            kept.default_channel.client.ping()


def how_to_start(queue: str = "") -> str:
    """The command that starts a worker of this project. `queue`: if it is not the default one."""
    if not is_our_service():
        options = f" -Q {queue}" if queue else ""
        return f"celery -A {current_app.main or 'PROJECT'} worker{options}"
    local = "LOCAL=on " if getattr(settings, "LOCAL", False) else ""
    return f"{local}{f'WORKER_QUEUES={queue} ' if queue else ''}python manage.py worker"


def workers() -> Problem | None:
    """Check that at least one worker is alive."""
    try:
        if leases.alive().exists():
            return None
    except DatabaseError as exc:
        return Problem(f"nobody knows whether a worker is alive ({_first_line(exc)})", "See above.")
    limit = leases.lease().total_seconds()
    return Problem(
        f"no worker has given a sign of life for {limit:g} s",
        f"Start one: {how_to_start()}; or read the log of the last.",
    )


def _first_line(exc: BaseException) -> str:
    return (str(exc) or type(exc).__name__).splitlines()[0]
