"""The command lines of the roles."""

import sys

from django.conf import settings

__all__ = ["web", "worker"]


def web() -> list[str]:
    return [
        *(sys.executable, "-m", "gunicorn", "--config", "python:roles.web_server"),
        "mainproj.wsgi:application",
    ]


def worker() -> list[str]:
    options = {
        "--hostname": settings.WORKER_NAME,
        "--queues": ",".join(settings.WORKER_QUEUES),
        "--pool": settings.WORKER_POOL,
        "--concurrency": str(settings.WORKER_CONCURRENCY),
    }
    return [
        *(sys.executable, "-m", "celery", "--quiet", "-A", "mainproj", "worker"),
        *(word for option in options.items() for word in option),
        # Workers coordinate in the database; nothing reads their gossip.
        *("--without-gossip", "--without-mingle"),
    ]
