"""What one written report of a child costs, beside `update_state` of a plain Celery task."""

import time
from collections.abc import Callable, Iterator
from statistics import median

from celery import uuid
from django.db import connection

from bench.environment import clear
from bench.figure import Figure
from bench.flows.tasks import native_items
from bench.flows.workflows import three_that_report
from children import Meta
from parent.messages.publish import attempt_header, publishing_off
from parent.models import Step
from parent.worker.engine_thread import EngineThread
from parent.worker.running_attempt import RunningAttempt

__all__ = ["figures"]

TOTAL = 1_000


def figures(*, quick: bool) -> Iterator[Figure]:
    rounds = 5 if quick else 20
    with publishing_off():
        run = three_that_report.start()
    step = Step.objects.select_related("run").get(run=run, index=0)
    # As in a worker: the engine has a thread and a connection of its own.
    thread = EngineThread()
    # With an interval of 0 reports are written from the beginning.
    header = attempt_header(step) | {"interval": 0}
    attempt = RunningAttempt(str(step.task_id), header, thread)
    attempt.claim()
    task_id = uuid()

    def ours(number: int) -> None:
        attempt.report(Meta.at(number, TOTAL))

    def native(number: int) -> None:
        meta = {"iteration": number, "total": TOTAL}
        native_items.update_state(task_id=task_id, state="PROGRESS", meta=meta)

    seconds: dict[Callable[[int], None], list[float]] = {ours: [], native: []}
    for _ in range(rounds):
        for side in (ours, native, native, ours):
            seconds[side] += timed(side)
    thread.start(lambda: connection.close()).result()  # noqa: PLW0108 - that thread's own
    clear()
    mine, theirs = median(seconds[ours]), median(seconds[native])
    yield Figure(
        name="a report, beside update_state",
        ours=f"{mine * 1e3:.2f} ms",
        other=f"{theirs * 1e3:.2f} ms",
        value=mine / theirs,
        at_most=0.6,
    )


def timed(report: Callable[[int], None]) -> list[float]:
    """The seconds of each of twenty reports."""
    seconds = []
    for number in range(20):
        began = time.perf_counter()
        report(number)
        seconds.append(time.perf_counter() - began)
    return seconds
