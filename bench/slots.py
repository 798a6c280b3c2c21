"""Fifty runs started together on one worker with one slot, on each of Celery's pools."""

import time
from collections.abc import Iterator

from bench.environment import worker
from bench.figure import Figure
from examples.main_flow.workflows import main_flow
from parent.models import Run, RunState
from tests.waiting import until

__all__ = ["figures"]

RUNS = 50


def figures(*, quick: bool) -> Iterator[Figure]:
    runs = 10 if quick else RUNS
    for pool in ("solo", "prefork", "threads"):
        with worker(pool, 1):
            began = time.monotonic()
            for _ in range(runs):
                main_flow.start(limit=1)
            until("the end of all", lambda: ended() == runs, timeout=120)
            seconds = time.monotonic() - began
            good = Run.objects.filter(state=RunState.SUCCESS).count()
        yield Figure(
            name=f"main_flow on one slot, {pool}",
            ours=f"{good} ended OK",
            other=f"{runs} started, {seconds:.2f} s",
            value=good / runs,
            at_least=1,
        )


def ended() -> int:
    return Run.objects.filter(state__in=Run.ENDED).count()
