"""The programs of one machine: their command lines."""

import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from quickstart.process_runner import Program
from quickstart.redis import RedisServer

__all__ = ["redis", "web", "worker", "worker_name"]

# Seconds for requests in progress at a stop: less than the supervisor waits for the web server.
GRACEFUL = 3


def redis(
    server: RedisServer, data_dir: Path, path: Path, environment: Mapping[str, str]
) -> Program:
    """The embedded broker, on the Unix socket `path`."""
    return Program(
        name="redis",
        command=server.command(data_dir, path),
        environment=environment,
        remedy=(
            f"If they tell of damaged files, remove {server.files(data_dir)}: "
            "what was queued there is published again from the database."
        ),
    )


def worker_name(port: int) -> str:
    """The worker's name in Celery. Another `up` on the same broker differs in port or host."""
    return f"up-{port}@{socket.gethostname()}"


def worker(port: int, pool: str, concurrency: int, environment: Mapping[str, str]) -> Program:
    """The one worker. `pool` is Celery's: prefork, threads or solo (which ignores concurrency)."""
    options = {"-n": worker_name(port), "-P": pool, "-c": str(concurrency)}
    options["-Q"] = ",".join(settings.WORKER_QUEUES)
    return Program(
        name="worker",
        command=[
            *(sys.executable, "-m", "celery", "-q", "-A", "mainproj", "worker"),
            *(word for option in options.items() for word in option),
            # For several workers; here is one.
            *("--without-gossip", "--without-mingle"),
        ],
        environment=environment,
        remedy="Mend that, then run `up` again.",
    )


def web(port: int, environment: Mapping[str, str]) -> Program:
    """The web server, for this machine only."""
    options = {
        "--bind": f"127.0.0.1:{port}",
        "--threads": "8",
        "--graceful-timeout": str(GRACEFUL),
        "--log-level": "warning",
    }
    return Program(
        name="web",
        command=[
            *(sys.executable, "-m", "gunicorn", "--config", "python:mainproj.gunicorn"),
            "mainproj.wsgi:application",
            *(word for option in options.items() for word in option),
            "--no-control-socket",
        ],
        environment=environment,
        remedy=f"Mend that, or choose another port than {port}, then run `up` again.",
    )
