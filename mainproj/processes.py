"""Settings of the processes that `manage.py web` and `manage.py worker` start."""

import os

from mainproj.environment import env
from mainproj.environment_values import LAST_PORT, address

__all__ = [
    "WEB_BODY_TIMEOUT",
    "WEB_HEADER_TIMEOUT",
    "WEB_HOST",
    "WEB_MIN_RATE",
    "WEB_PORT",
    "WEB_PROCESSES",
    "WEB_THREADS",
    "WORKER_CONCURRENCY",
    "WORKER_NAME",
    "WORKER_POOL",
    "WORKER_QUEUES",
]

MOST_PROCESSES = 1_000  # and threads: `up` takes as many

WEB_HOST = env.read(
    "WEB_HOST",
    "127.0.0.1",
    "the address on which the web server listens; the image has 0.0.0.0",
    address,
    kind="address",
    example="0.0.0.0",  # noqa: S104 - for a container, which publishes only chosen ports
)
WEB_PORT = env.number(
    "WEB_PORT", 8000, "the port on which the web server listens", at_least=1, at_most=LAST_PORT
)
WEB_PROCESSES = env.number(
    "WEB_PROCESSES", 2, "processes of the web server", at_least=1, at_most=MOST_PROCESSES
)
WEB_THREADS = env.number(
    "WEB_THREADS", 8, "requests at once in each web process", at_least=1, at_most=MOST_PROCESSES
)
WEB_HEADER_TIMEOUT = env.seconds(
    "WEB_HEADER_TIMEOUT", 10, "until a client has sent the headers of a request", zero=""
)
WEB_BODY_TIMEOUT = env.seconds(
    "WEB_BODY_TIMEOUT",
    20,
    "until a client has sent the body, and has read the answer; WEB_MIN_RATE extends it",
    zero="",
)
WEB_MIN_RATE = env.number(
    "WEB_MIN_RATE",
    1000,
    "bytes of a body or an answer that extend WEB_BODY_TIMEOUT by a second",
    at_least=1,
)

WORKER_NAME = env.text(
    "WORKER_NAME",
    "celery@%h",
    "the worker's name, its own on each machine; %h is the host",
    example="gpu-1@%h",
)
WORKER_QUEUES = env.words(
    "WORKER_QUEUES", ["celery"], "the queues that a worker serves", example="celery,gpu"
)
WORKER_POOL = env.choice(
    "WORKER_POOL", "prefork", "Celery's pool", among=["prefork", "threads", "solo"]
)
WORKER_CONCURRENCY = env.number(
    "WORKER_CONCURRENCY",
    os.cpu_count() or 1,
    "children that a worker runs at once",
    at_least=1,
    at_most=MOST_PROCESSES,
    unset="one for each processor",
)
