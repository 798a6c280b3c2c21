"""What many items of a mapped step cost those who look: a poll, the processes, a quiet tick."""

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median
from uuid import uuid4

from celery.result import AsyncResult, GroupResult
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_results.models import TaskResult

from bench.environment import clear
from bench.figure import Figure, NotMeasured
from bench.flows.workflows import mapped, mapped_alone
from parent.messages.publish import publishing_off
from parent.models import Executor, Item, Run, StepState
from parent.runs.items.counts import add
from parent.store import leases, results
from parent.watch.tick import Ticker
from tests.waiting import until

__all__ = ["figures"]

FEW, MANY, MOST = 10, 10_000, 100_000
POLLS, TICKS = 200, 20
LARGEST = 150  # MB


def figures(*, quick: bool) -> Iterator[Figure]:
    try:
        yield from polls(MANY // 10 if quick else MANY)
        clear()
        yield from memory(MOST // 10 if quick else MOST)
        clear()
        yield from ticks(MOST // 10 if quick else MOST)
    finally:
        clear()
        Executor.objects.all().delete()
        User.objects.all().delete()
        logging.disable(logging.NOTSET)


def polls(items: int) -> Iterator[Figure]:
    """A poll of a run, for few items and for many, and what Celery has for the same."""
    owner = User.objects.create_user("poller")
    client = Client(headers={"Host": "localhost"})
    client.force_login(owner)
    logging.disable(logging.INFO)  # a line for each request
    with publishing_off():
        few, many = (mapped.start(owner=owner, items=count) for count in (FEW, items))
    if many.ended:
        raise NotMeasured(f"the run failed: {many.error}")
    ids = [str(uuid4()) for _ in range(items)]
    TaskResult.objects.bulk_create(
        [TaskResult(task_id=id, status="SUCCESS", result="1", **results.JSON) for id in ids],
        batch_size=1000,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")

    def poll(run: Run) -> Callable[[], None]:
        def ask() -> None:
            if client.get(f"/tasks/{run.pk}/").status_code != 200:
                raise NotMeasured("a poll was not answered")

        return ask

    def count() -> None:
        if GroupResult(results=[AsyncResult(id) for id in ids]).completed_count() != items:
            raise NotMeasured("Celery did not find all tasks")

    small, large = by_turns([poll(few), poll(many)], POLLS)
    (group,) = by_turns([count], 3)
    yield Figure(
        name=f"a poll, {items:,} items",
        ours=f"{large * 1e3:.2f} ms",
        other=f"{FEW} items {small * 1e3:.2f} ms",
        value=large / small,
        at_most=1.2,
    )
    yield Figure(
        name="  beside a group's completed_count",
        ours=f"{large * 1e3:.2f} ms",
        other=f"completed_count {group * 1e3:,.0f} ms",
        value=group / large,
        at_least=20,
    )


def by_turns(sides: list[Callable[[], None]], rounds: int) -> list[float]:
    """The median seconds of each side."""
    seconds: list[list[float]] = [[] for _ in sides]
    for number in range(rounds):
        for place in range(len(sides))[:: -1 if number % 2 else 1]:
            began = time.perf_counter()
            sides[place]()
            seconds[place].append(time.perf_counter() - began)
    return [median(of_side) for of_side in seconds]


def memory(items: int) -> Iterator[Figure]:
    """The largest memory of the process that opens so many items, and of the one that reduces."""
    for what in ("open", "reduce"):
        command = [sys.executable, "-m", "bench.large_map", what, str(items)]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        before, after, seconds = map(float, told.split())
        yield Figure(
            name=f"MB to {what} {items:,} items",
            ours=f"{after:.0f} MB",
            other=f"before {before:.0f} MB; {seconds:.1f} s",
            value=after,
            at_most=LARGEST,
        )


def ticks(items: int) -> Iterator[Figure]:
    """The statements of a quiet tick over so many waiting items, and over none."""
    executor = leases.assign_executor_id()
    leases.renew_heartbeat(executor)
    ticker = Ticker(executor)
    until("the watch lease", ticker.tick)
    none, none_seconds = quiet(ticker)
    with publishing_off():
        run = mapped_alone.start(items=items)
    if run.ended:
        raise NotMeasured(f"the run failed: {run.error}")
    step, now = run.steps.get(name="each"), timezone.now()
    Item.objects.filter(step=step, state=StepState.QUEUED).update(
        state=StepState.RUNNING, executor_id=executor, started_at=now, due_at=None
    )
    add(step.pk, now)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    leases.renew_heartbeat(executor)
    until("the watch lease", ticker.tick)
    ticker.tick()
    waiting, seconds = quiet(ticker)
    leases.release_watch_lease(executor)
    yield Figure(
        name=f"statements of a tick, {items:,} waiting",
        ours=f"{waiting} statements",
        other=f"with none: {none} statements",
        value=waiting / none,
        at_most=1,
    )
    yield Figure(
        name="  time of one, median",
        ours=f"{seconds * 1e3:.2f} ms",
        other=f"with none: {none_seconds * 1e3:.2f} ms",
        value=seconds / none_seconds,
    )


def quiet(ticker: Ticker) -> tuple[int, float]:
    """The statements and the seconds of a tick: the medians."""
    counted, seconds = [], []
    for _ in range(TICKS):
        began = time.perf_counter()
        with CaptureQueriesContext(connection) as statements:
            if not ticker.tick():
                raise NotMeasured("the watch lease has lapsed")
        seconds.append(time.perf_counter() - began)
        counted.append(len(statements))
    return round(median(counted)), median(seconds)
