"""The command lines of the roles."""

import os
import sys
from typing import NoReturn

from django.conf import settings

__all__ = ["become", "python_path", "web", "worker"]


def become(command: list[str]) -> NoReturn:
    """Replace this process: signals of a container engine or systemd reach the program directly."""
    os.environ["PYTHONPATH"] = python_path()
    os.execv(command[0], command)  # noqa: S606 - a command line of our own


def python_path() -> str:
    """PYTHONPATH by which a program finds this project's code, whatever its working directory."""
    code = [str(settings.BASE_DIR), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, code))


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
