"""From the end of one body to the start of the next, beside a native Celery chain."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from statistics import median

from bench.figure import Figure, percentile
from bench.ground import clear, worker
from bench.sides import NATIVE, OURS, Side
from tests.waiting import until

__all__ = ["figures"]


def figures(*, quick: bool) -> Iterator[Figure]:
    rounds = 20 if quick else 100
    gaps: dict[Side, list[float]] = {OURS: [], NATIVE: []}
    with worker("prefork", 1):
        for side in (OURS, NATIVE):
            one_by_one(side, 3)  # connections open, caches fill
        for _ in range(rounds // 10):
            for side in (OURS, NATIVE, NATIVE, OURS):
                gaps[side] += one_by_one(side, 5)
    ours, native = gaps[OURS], gaps[NATIVE]
    measures: list[tuple[str, Callable[[Sequence[float]], float], float | None]] = [
        ("median", median, 1.5),
        ("p95", partial(percentile, percent=95), None),
    ]
    for name, of, bound in measures:
        yield Figure(
            name=f"hand-over, {name} of {len(ours)}",
            ours=f"{of(ours) * 1e3:.1f} ms",
            other=f"native chain {of(native) * 1e3:.1f} ms",
            value=of(ours) / of(native),
            at_most=bound,
        )


def has_ended(side: Side, count: int) -> bool:
    return side.ended() == count


def one_by_one(side: Side, starts: int) -> list[float]:
    """Start one after the other's end; the seconds between bodies."""
    clear()
    gaps = []
    for count in range(1, starts + 1):
        started = side.start()
        until("the end of three bodies", partial(has_ended, side, count))
        gaps += [later - earlier for earlier, later in pairwise(side.moments(started))]
    return gaps
