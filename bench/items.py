"""Items of mapped steps in a second, beside the tasks of a Celery chord, and in several processes.

The chord has Celery's two usual result backends: the database, as ours, and Redis.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median

from bench.environment import clear, worker
from bench.figure import Figure, NotMeasured
from bench.flows.workflows import mapped, mapped_in_chunks
from parent import Workflow
from parent.models import Run, RunState
from tests.waiting import until

__all__ = ["TIMEOUT", "by_turns", "chord", "figure", "figures", "in_runs", "seconds_of"]

ITEMS, SLOTS = 10_000, 2
PROCESSES, RUNS = 8, 100
TIMEOUT = 900  # seconds


def figures(*, quick: bool) -> Iterator[Figure]:
    items, rounds = (1_000, 1) if quick else (ITEMS, 2)
    singly, chunked = partial(in_runs, mapped), partial(in_runs, mapped_in_chunks)
    with worker("prefork", SLOTS):
        mine, chunks, database = by_turns([singly, chunked, chord], items, rounds)
    yield figure("items, beside a chord on django-db", mine, "chord", database, 1.5)
    yield figure("  in chunks of 100", chunks, "chord", database, 4.0)
    with plain_worker():
        (redis,) = by_turns([partial(chord, module="bench.plain")], items, rounds)
    yield figure("items, beside a chord on Redis", mine, "chord", redis, 1.0)
    yield figure("  in chunks of 100", chunks, "chord", redis)
    with worker("prefork", PROCESSES):
        spread = partial(in_runs, mapped, runs=RUNS)
        together, apart = by_turns([singly, spread], items, rounds)
    yield figure(f"items of one run, {PROCESSES} processes", together, f"{RUNS} runs", apart, 0.8)


def by_turns(sides: list[Callable[[int], float]], items: int, rounds: int) -> list[float]:
    """The items in a second of each side: the median of its rounds."""
    for side in sides:
        side(100)  # connections open, caches fill
    seconds: list[list[float]] = [[] for _ in sides]
    for number in range(rounds):
        for place in range(len(sides))[:: -1 if number % 2 else 1]:
            seconds[place].append(sides[place](items))
            clear()
    return [items / median(of_side) for of_side in seconds]


def in_runs(workflow: Workflow, items: int, runs: int = 1) -> float:
    """The seconds of so many items, spread over so many runs."""
    return seconds_of(runs, lambda: [workflow.start(items=items // runs) for _ in range(runs)])


def seconds_of(runs: int, start: Callable[[], object]) -> float:
    """The seconds from the start of so many runs to the end of the last."""
    began = time.monotonic()
    start()
    until("the end of all", lambda: ended() == runs, timeout=TIMEOUT)
    seconds = time.monotonic() - began
    if good := Run.objects.exclude(state=RunState.SUCCESS).first():
        raise NotMeasured(f"a run has failed: {good.error}")
    clear()
    return seconds


def ended() -> int:
    """How many runs have ended, those inside of others apart."""
    return Run.objects.filter(state__in=Run.ENDED, parent_run=None).count()


def chord(items: int, module: str = "bench.chord", length: int = 1) -> float:
    """The seconds of a chord of so many tasks, or of so many chains of `length` tasks."""
    command = [sys.executable, "-m", module, str(items), *[str(length)] * (length > 1)]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(told.stdout)


@contextmanager
def plain_worker() -> Iterator[None]:
    """A worker of `bench.plain`."""
    command = [sys.executable, "-m", "celery", "-A", "bench.plain", "worker", "-P", "prefork"]
    command += ["-c", str(SLOTS), "--without-mingle", "--without-gossip", "-l", "ERROR"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def figure(
    name: str, ours: float, what: str, other: float, at_least: float | None = None
) -> Figure:
    """Both sides in items a second."""
    return Figure(
        name=name,
        ours=f"{ours:,.0f} items/s",
        other=f"{what} {other:,.0f} items/s",
        value=ours / other,
        at_least=at_least,
    )
