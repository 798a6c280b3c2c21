"""What waits costs nothing: runs that wait for signals, and schedules; and what a signal costs."""

import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from statistics import median
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_results.models import TaskResult

from bench.environment import clear, worker
from bench.figure import Figure, NotMeasured
from bench.flows.workflows import signalled, two
from parent.messages.publish import publishing_off
from parent.models import Awaits, Executor, Run, RunState, Schedule, Step, StepState
from parent.runs.signals.give import give
from parent.store import leases, results
from parent.watch.tick import Ticker
from tests.waiting import until

__all__ = ["figures"]

RUNS, SCHEDULES, TICKS = 10_000, 5_000, 20
AGE = timedelta(hours=1)
"""For so long the runs have waited."""


def figures(*, quick: bool) -> Iterator[Figure]:
    try:
        # First: after the ticks PostgreSQL's planner would count on empty tables.
        yield from posts(50 if quick else 300)
        clear()
        yield from ticks(RUNS // 10 if quick else RUNS, SCHEDULES)
        clear()
    finally:
        Schedule.objects.all().delete()
        Executor.objects.all().delete()
        User.objects.all().delete()
        logging.disable(logging.NOTSET)
    with worker("prefork", 1):
        yield from hand_overs(20 if quick else 100)


def ticks(runs: int, schedules: int) -> Iterator[Figure]:
    """The statements and the time of a quiet tick, with nothing, with runs, and with schedules."""
    executor = leases.assign_executor_id()
    leases.renew_heartbeat(executor)
    ticker = Ticker(executor)
    until("the watch lease", ticker.tick)
    nothing, nothing_seconds = quiet(ticker, executor)
    write_waiting(runs)
    waiting, waiting_seconds = quiet(ticker, executor)
    clear()
    write_schedules(schedules)
    scheduled, scheduled_seconds = quiet(ticker, executor)
    leases.release_watch_lease(executor)
    for name, count, seconds in (
        (f"a tick, {runs:,} wait for signals", waiting, waiting_seconds),
        (f"a tick, {schedules:,} schedules", scheduled, scheduled_seconds),
    ):
        yield Figure(
            name=name,
            ours=f"{count} statements",
            other=f"with none: {nothing} statements",
            value=count / nothing,
            at_most=1,
        )
        yield Figure(
            name="  time of one, the least",
            ours=f"{seconds * 1e3:.2f} ms",
            other=f"with none: {nothing_seconds * 1e3:.2f} ms",
            value=seconds / nothing_seconds,
            at_most=1.5,
        )


def quiet(ticker: Ticker, executor: UUID) -> tuple[int, float]:
    """The statements of a tick, the median; and its seconds, the least, whatever else runs here."""
    leases.renew_heartbeat(executor)
    until("the watch lease", ticker.tick)
    ticker.tick()  # what it does only now and then is done
    counted, seconds = [], []
    for _ in range(TICKS):
        with CaptureQueriesContext(connection) as statements:
            began = time.perf_counter()
            if not ticker.tick():
                raise NotMeasured("the watch lease has lapsed")
            seconds.append(time.perf_counter() - began)
        counted.append(len(statements))
    return round(median(counted)), min(seconds)


def write_waiting(count: int) -> None:
    """So many runs that wait for a signal, as if they had been started a while ago."""
    ago = timezone.now() - AGE
    state = RunState.PROGRESS
    runs = [Run(workflow=signalled.name, state=state, started_at=ago) for _ in range(count)]
    steps = [step for run in runs for step in steps_of(run)]
    stored = [
        TaskResult(task_id=str(run.pk), status=state, result="{}", **results.JSON) for run in runs
    ]
    Run.objects.bulk_create(runs, batch_size=1000)
    Step.objects.bulk_create(steps, batch_size=1000)
    TaskResult.objects.bulk_create(stored, batch_size=1000)
    Run.objects.update(created_at=ago, mirrored_at=ago)
    TaskResult.objects.update(date_done=ago)
    analyze()


def analyze() -> None:
    """What PostgreSQL's autovacuum does within a minute: its planner gets to know the rows."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def steps_of(run: Run) -> list[Step]:
    waits = Step(
        run=run,
        index=0,
        name="go",
        awaits=Awaits.SIGNAL,
        state=StepState.RUNNING,
        task_id=str(uuid4()),
        queued_at=run.started_at,
        started_at=run.started_at,
    )
    return [waits, Step(run=run, index=1, name="first", after=["go"])]


def write_schedules(count: int) -> None:
    """So many schedules of one workflow, none of which is due."""
    later = timezone.now() + AGE
    Schedule.objects.bulk_create(
        [
            Schedule(workflow=signalled.name, name=str(n), every=3600, next_at=later, due_at=later)
            for n in range(count)
        ],
        batch_size=1000,
    )
    analyze()


def posts(count: int) -> Iterator[Figure]:
    """POSTs of signals in a second, beside POSTs of starts: each in one process, by turns."""
    owner = User.objects.create_user("giver")
    client = Client(headers={"Host": "localhost"})
    client.force_login(owner)
    logging.disable(logging.INFO)  # a line for each request
    seconds: dict[str, list[float]] = {"starts": [], "signals": []}
    with publishing_off():
        for _ in range(count):
            seconds["starts"].append(post(client, f"/workflows/{signalled.name}/", 202))
            newest = Run.objects.order_by("-created_at").values_list("pk", flat=True)[0]
            seconds["signals"].append(post(client, f"/tasks/{newest}/signals/go/", 200))
    signals, starts = (1 / median(seconds[name]) for name in ("signals", "starts"))
    yield Figure(
        name=f"POSTs of {count} signals",
        ours=f"{signals:.0f} signals/s",
        other=f"starts {starts:.0f}/s",
        value=signals / starts,
        at_least=1.0,
    )


def post(client: Client, path: str, expected: int) -> float:
    """The seconds of one POST."""
    began = time.perf_counter()
    answer = client.post(path, {}, content_type="application/json")
    if answer.status_code != expected:
        raise NotMeasured(f"{path} answered {answer.status_code}: {answer.content!r}")
    return time.perf_counter() - began


def hand_overs(rounds: int) -> Iterator[Figure]:
    """From a signal to the start of the child that waits for it, beside a hand-over by a message.

    Both begin in a process that is not a worker's, so that both take a message.
    """
    gaps: dict[str, list[float]] = {"signal": [], "hand-over": []}
    for number in range(rounds + 3):  # at first connections open, and caches fill
        for name, gap in (("signal", after_signal()), ("hand-over", after_child())):
            if number >= 3:
                gaps[name].append(gap)
        clear()
    mine, other = (median(gaps[name]) for name in gaps)
    yield Figure(
        name="from a signal to the child, median",
        ours=f"{mine * 1e3:.1f} ms",
        other=f"hand-over {other * 1e3:.1f} ms",
        value=mine / other,
        at_most=1.5,
    )


def after_signal() -> float:
    run = signalled.start()
    began = time.monotonic()
    give(run.pk, "go", {})
    return moment_of(run.pk, "first") - began


def after_child() -> float:
    """The second child has another priority, so it takes a message of its own."""
    run = two.start()
    return moment_of(run.pk, "second") - moment_of(run.pk, "first")


def moment_of(run_id: UUID, name: str) -> float:
    """When the body of this step ran, by the monotonic clock."""
    rows = Step.objects.filter(run=run_id, name=name, state=StepState.OK)
    until(f"the end of {name}", rows.exists)
    return float(rows.get().result)
