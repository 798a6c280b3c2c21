"""Polling over HTTP, beside celery-progress's own view on django-db, and beside an empty view.

All behind the same session login, on one gunicorn, one database, with the same clients, by turns.
Two kinds of ours: clients that keep the `ETag`, as ours do, of runs of which there is nothing new;
and clients that have none, so that every answer is a full one.
"""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from urllib.error import URLError
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django_celery_results.models import TaskResult

from bench.figure import Figure, percentile
from bench.ground import clear
from bench.load import Load, Target
from parent import results
from parent.models import Run, Step
from tests.services import free_port
from tests.waiting import until

__all__ = ["figures"]

RUNS, STEPS, CLIENTS = 200, 3, 4
QUIET = timedelta(hours=1)  # since the last report: estimates that move are no concern here
EMPTY, OTHER = "an empty view", "celery-progress"
FULL, TAGGED = "full answers", "nothing new"


def figures(*, quick: bool) -> Iterator[Figure]:
    rounds, seconds = (2, 0.5) if quick else (6, 1.5)
    try:
        cookie, runs = signed_in(), write_runs()
        with server() as port:
            loads = {side: Load(port, cookie) for side in (EMPTY, OTHER, FULL, TAGGED)}
            targets = {side: targets_of(side, runs) for side in loads}
            for side in loads:  # connections open, caches and tags fill
                Load(port, cookie).run(targets[side], clients=CLIENTS, seconds=1)
            for number in range(rounds):
                for side in list(loads)[:: -1 if number % 2 else 1]:
                    loads[side].run(targets[side], clients=CLIENTS, seconds=seconds)
    finally:
        clear()
        User.objects.all().delete()
    check(loads)
    yield ratio(TAGGED, loads[TAGGED], OTHER, loads[OTHER], at_least=2)
    yield ratio(TAGGED, loads[TAGGED], EMPTY, loads[EMPTY], at_least=0.6)
    yield ratio(FULL, loads[FULL], OTHER, loads[OTHER])
    yield ratio(FULL, loads[FULL], EMPTY, loads[EMPTY], at_least=0.6)
    for name, load in loads.items():
        p99, median = (percentile(load.latencies, percent) for percent in (99, 50))
        yield Figure(
            name=f"  p99 latency, {name}",
            ours=f"{p99 * 1e3:.1f} ms",
            other=f"median {median * 1e3:.1f} ms, {CLIENTS} clients",
            value=p99 / median,
        )


def ratio(
    name: str, ours: Load, other_name: str, other: Load, *, at_least: float | None = None
) -> Figure:
    return Figure(
        name=f"polls, {name}",
        ours=f"{ours.rate:,.0f} /s",
        other=f"{other_name} {other.rate:,.0f} /s",
        value=ours.rate / other.rate,
        at_least=at_least,
    )


def check(loads: Mapping[str, Load]) -> None:
    """What was measured is what was meant."""
    for side in (EMPTY, OTHER, FULL):
        assert set(loads[side].statuses) == {200}, (side, loads[side].statuses)
    statuses = loads[TAGGED].statuses
    assert set(statuses) <= {200, 304}, statuses
    assert statuses[304] > 0.9 * sum(statuses.values()), statuses


def targets_of(side: str, runs: list[str]) -> list[Target]:
    prefix = {EMPTY: "/bench/empty/", OTHER: "/bench/celery-progress/"}.get(side, "/tasks/")
    return [Target(f"{prefix}{run}/", tagged=side == TAGGED) for run in runs]


def signed_in() -> str:
    """A session's cookie."""
    client = Client()
    client.force_login(User.objects.create_user("poller"))
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def write_runs() -> list[str]:
    """Runs of the poller in progress; each has its Celery result, as celery-progress reads it."""
    owner, now = User.objects.get(), timezone.now() - QUIET
    ids = []
    for _ in range(RUNS):
        run = Run.objects.create(
            **{
                "workflow": "polled",
                "owner": owner,
                "state": "PROGRESS",
                "created_at": now,
                "started_at": now,
            },
            **{"completion": 20.0, "iteration": 4, "total": 10, "message": "one: 4 of 10"},
        )
        for index in range(STEPS):
            started = {"queued_at": now, "started_at": now, "reported_at": now}
            Step.objects.create(
                **{"run": run, "index": index, "name": f"step {index}", "task": "polled"},
                **({"task_id": str(uuid4()), "state": "RUNNING", **started} if not index else {}),
            )
        results.create(run, "parent.polled")
        ids.append(str(run.pk))
    meta = '{"iteration": 4, "total": 10, "completion": 20.0, "status": "PROGRESS"}'
    TaskResult.objects.update(status="PROGRESS", result=meta)
    return ids


@contextmanager
def server() -> Iterator[int]:
    """The web server as `manage.py up` starts it; yields its port."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "gunicorn", "mainproj.wsgi:application", "--no-control-socket"),
        *("--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "8"),
        *("--log-level", "warning", "--keep-alive", "30"),
    ]
    process = subprocess.Popen(command)
    try:
        until("the web server", lambda: answers(port))
        yield port
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
            return bool(answer.status == 200)
    except URLError:
        return False
