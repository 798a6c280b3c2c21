"""Polling over HTTP, beside celery-progress's own view on django-db, and beside an empty view.

All with the same session login, gunicorn, database and clients, by turns. Our view is measured
twice: with clients that send the `ETag`, as our pages do, for runs without news; and with clients
that send none, so that each answer is a full one.
"""

import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django_celery_results.models import TaskResult

from bench.environment import clear
from bench.figure import Figure, Unmeasured, percentile
from bench.load import Load, Target
from bench.web import serving
from parent.models import Run, Step
from parent.store import results

__all__ = ["figures"]

RUNS, STEPS, CLIENTS = 200, 3, 4
QUIET = timedelta(hours=1)  # since the last report, so that estimates do not change
MOSTLY = 0.9
"""The least share of 304 among the answers to clients with a tag."""
EMPTY, OTHER = "an empty view", "celery-progress"
FULL, TAGGED = "full answers", "nothing new"


def figures(*, quick: bool) -> Iterator[Figure | Unmeasured]:
    rounds, seconds = (2, 0.5) if quick else (6, 1.5)
    try:
        cookie, runs = signed_in(), write_runs()
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as folder,
            serving(Path(folder)) as (_pid, port),
        ):
            loads = {side: Load(port, cookie) for side in (EMPTY, OTHER, FULL, TAGGED)}
            targets = {side: targets_of(side, runs) for side in loads}
            for side in loads:  # connections open, caches and tags fill
                Load(port, cookie).run(targets[side], clients=CLIENTS, seconds=1, each=True)
            for number in range(rounds):
                for side in list(loads)[:: -1 if number % 2 else 1]:
                    loads[side].run(targets[side], clients=CLIENTS, seconds=seconds)
    finally:
        clear()
        User.objects.all().delete()
    yield ratio(TAGGED, OTHER, loads, at_least=2)
    yield ratio(TAGGED, EMPTY, loads, at_least=0.6)
    yield ratio(FULL, OTHER, loads)
    yield ratio(FULL, EMPTY, loads, at_least=0.6)
    for name, load in loads.items():
        if reason := problem(name, load):
            yield Unmeasured(name=f"  p99 latency, {name}", reason=reason)
            continue
        p99, median = (percentile(load.latencies, percent) for percent in (99, 50))
        yield Figure(
            name=f"  p99 latency, {name}",
            ours=f"{p99 * 1e3:.1f} ms",
            other=f"median {median * 1e3:.1f} ms, {CLIENTS} clients",
            value=p99 / median,
        )


def ratio(
    ours: str, other: str, loads: Mapping[str, Load], *, at_least: float | None = None
) -> Figure | Unmeasured:
    name = f"polls, {ours}"
    for side in (ours, other):
        if reason := problem(side, loads[side]):
            return Unmeasured(name=name, reason=reason)
    return Figure(
        name=name,
        ours=f"{loads[ours].rate:,.0f} /s",
        other=f"{other} {loads[other].rate:,.0f} /s",
        value=loads[ours].rate / loads[other].rate,
        at_least=at_least,
    )


def problem(side: str, load: Load) -> str | None:
    """Why the measurement of a side is not valid; None if it is."""
    if load.failures:
        return f"{side}: {len(load.failures)} clients broke off: {load.failures[0]}"
    answers = sum(load.statuses.values())
    wanted = {200, 304} if side == TAGGED else {200}
    if not answers or not set(load.statuses) <= wanted:
        return f"{side}: the answers had the statuses {load.statuses}"
    unchanged = load.statuses.get(304, 0)
    if side == TAGGED and unchanged <= MOSTLY * answers:
        return f"{side}: only {unchanged} of {answers} answers were 304"
    return None


def targets_of(side: str, runs: list[str]) -> list[Target]:
    prefix = {EMPTY: "/bench/empty/", OTHER: "/bench/celery-progress/"}.get(side, "/tasks/")
    return [Target(f"{prefix}{run}/", tagged=side == TAGGED) for run in runs]


def signed_in() -> str:
    """The cookie of a session."""
    client = Client()
    client.force_login(User.objects.create_user("poller"))
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def write_runs() -> list[str]:
    """Active runs of the owner, each with a Celery result that celery-progress can read."""
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
