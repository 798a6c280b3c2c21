"""Items that are runs: a `Map` over a workflow of three steps, in runs of items a second.

Beside it, the same runs started by themselves: what it costs that a run is inside of another one,
whose places, counts and progress it moves. And a Celery chord of chains of three tasks, with
results in the same database: what people write who have no such `Map`.
"""

from collections.abc import Callable, Iterator
from functools import partial

from bench.environment import worker
from bench.figure import Figure
from bench.flows.workflows import mapped_runs, three_that_report
from bench.items import by_turns, chord, figure, in_runs, seconds_of

__all__ = ["figures"]

ITEMS, SLOTS = 1_000, 2
STEPS = 3  # of `three_that_report`


def figures(*, quick: bool) -> Iterator[Figure]:
    items, rounds = (200, 1) if quick else (ITEMS, 2)
    sides: list[Callable[[int], float]] = [
        partial(in_runs, mapped_runs),
        by_themselves,
        partial(chord, length=STEPS),
    ]
    with worker("prefork", SLOTS):
        inside, alone, chains = by_turns(sides, items, rounds)
    yield figure("items that are runs", inside, "runs by themselves", alone, 0.5)
    yield figure("  beside a chord of chains", inside, "chord", chains)


def by_themselves(runs: int) -> float:
    """The seconds of so many runs, started together."""
    return seconds_of(runs, lambda: three_that_report.start_many({} for _ in range(runs)))
