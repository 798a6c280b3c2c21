"""A tick of the watch with nothing changed, for few running children and for many."""

import time
from collections.abc import Iterator
from statistics import median
from uuid import uuid4

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_results.models import TaskResult

from bench.environment import clear
from bench.figure import Figure
from bench.flows.tasks import reports
from parent.models import Executor, Run, RunState, Step, StepState
from parent.store import leases, results
from parent.watch.tick import Ticker
from tests.waiting import until

__all__ = ["figures"]

FEW, MANY, MOST_STATEMENTS, TURNS = 10, 10_000, 6, 20


def figures(*, quick: bool) -> Iterator[Figure]:
    running = MANY // 10 if quick else MANY
    few, few_seconds = turn(FEW)
    many, many_seconds = turn(running)
    yield Figure(
        name=f"idle tick, {FEW} and {running:,} running",
        ours=f"{many} statements",
        other=f"with {FEW}: {few} statements",
        value=many / few,
        at_most=1,
    )
    yield Figure(
        name="  statements of one",
        ours=f"{many} statements",
        other="the most there may be",
        value=many,
        at_most=MOST_STATEMENTS,
    )
    yield Figure(
        name="  time of one, median",
        ours=f"{many_seconds * 1e3:.2f} ms",
        other=f"with {FEW}: {few_seconds * 1e3:.2f} ms",
        value=many_seconds / few_seconds,
    )


def turn(running: int) -> tuple[int, float]:
    """The statements and the median seconds of a tick over so many running children."""
    executor = leases.assign_executor_id()
    leases.renew_heartbeat(executor)
    write_running(running)
    ticker = Ticker(executor)
    until("the watch lease", ticker.tick)
    with CaptureQueriesContext(connection) as statements:
        ticker.tick()
    seconds = []
    for _ in range(TURNS):
        began = time.perf_counter()
        ticker.tick()
        seconds.append(time.perf_counter() - began)
    leases.release_watch_lease(executor)
    clear()
    Executor.objects.all().delete()
    return len(statements), median(seconds)


def write_running(count: int) -> None:
    """So many runs, each with a child whose report has been mirrored."""
    now = timezone.now()
    runs = [
        Run(workflow="reporting", state=RunState.PROGRESS, started_at=now) for _ in range(count)
    ]
    steps = [
        Step(
            run=run,
            index=0,
            name="reports",
            task=reports.name,
            state=StepState.RUNNING,
            task_id=str(uuid4()),
            executor_id=leases.this_executor(),
            queued_at=now,
            started_at=now,
        )
        for run in runs
    ]
    ids = [*(str(run.pk) for run in runs), *(str(step.task_id) for step in steps)]
    Run.objects.bulk_create(runs, batch_size=1000)
    Step.objects.bulk_create(steps, batch_size=1000)
    TaskResult.objects.bulk_create(
        [TaskResult(task_id=id, status="PROGRESS", result="{}", **results.JSON) for id in ids],
        batch_size=1000,
    )
    Step.objects.update(reported_at=now, mirrored_at=now)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
