"""The time from the end of one body to the start of the next, beside a native Celery chain."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from statistics import median

from bench.environment import clear, worker
from bench.figure import Figure, percentile
from bench.sides import REPORTING, SILENT, Side
from tests.waiting import until

__all__ = ["figures"]

MEASURES: list[tuple[str, Callable[[Sequence[float]], float]]] = [
    ("median", median),
    ("p95", partial(percentile, percent=95)),
]


def figures(*, quick: bool) -> Iterator[Figure]:
    rounds = 20 if quick else 100
    with worker("prefork", 1):
        yield from figures_of("hand-over", REPORTING, rounds, 0.4)
        yield from figures_of("  of silent children", SILENT, rounds, 1.0)


def figures_of(name: str, sides: tuple[Side, Side], rounds: int, wanted: float) -> Iterator[Figure]:
    """Those of both sides; `wanted` is the bound of the medians' ratio."""
    gaps: dict[Side, list[float]] = {side: [] for side in sides}
    for side in sides:
        one_by_one(side, 3)  # connections open, caches fill
    for _ in range(rounds // 10):
        for side in (*sides, *reversed(sides)):
            gaps[side] += one_by_one(side, 5)
    ours, native = (gaps[side] for side in sides)
    for what, of in MEASURES:
        yield Figure(
            name=f"{name}, {what} of {len(ours)}",
            ours=f"{of(ours) * 1e3:.1f} ms",
            other=f"native chain {of(native) * 1e3:.1f} ms",
            value=of(ours) / of(native),
            at_most=wanted if of is median else None,
        )


def has_ended(side: Side, count: int) -> bool:
    return side.ended() == count


def one_by_one(side: Side, starts: int) -> list[float]:
    """Start one after the end of the other; returns the seconds between bodies."""
    clear()
    gaps = []
    for count in range(1, starts + 1):
        started = side.start()
        until("the end of three bodies", partial(has_ended, side, count))
        gaps += [later - earlier for earlier, later in pairwise(side.moments(started))]
    return gaps
