"""`progress.track` over integers, beside `tqdm`."""

import os
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter

from tqdm import tqdm  # type: ignore[import-untyped]

from bench.figure import Figure, NotMeasured
from children import Meta, Progress

__all__ = ["figures"]

ROUNDS = 3


def figures(*, quick: bool) -> Iterator[Figure]:
    items = 1_000_000 if quick else 10_000_000
    sent: list[Meta] = []
    tracked, by_tqdm = [], []
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        # By turns, and the best of each, so that other load on the machine affects both.
        for _ in range(ROUNDS):
            tracked.append(seconds(Progress(sent.append).track, items))
            by_tqdm.append(seconds(lambda numbers: tqdm(numbers, file=nowhere), items))
    if sent[-1:] != [Meta.at(items, items)]:
        raise NotMeasured("the last report is missing")
    yield Figure(
        name=f"track, {items:,} integers",
        ours=f"{min(tracked) / items * 1e9:.0f} ns each",
        other=f"tqdm {min(by_tqdm) / items * 1e9:.0f} ns each",
        value=min(tracked) / min(by_tqdm),
        at_most=1,
    )


def seconds(loop: Callable[[Iterable[int]], Iterable[int]], items: int) -> float:
    """How long an empty loop over all items takes."""
    began = perf_counter()
    for _ in loop(range(items)):
        pass
    return perf_counter() - began
