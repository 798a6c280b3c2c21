"""`track` costs no more than `tqdm`."""

import os
from collections.abc import Callable, Iterable
from time import thread_time

import pytest
from tqdm import tqdm  # type: ignore[import-untyped]

from children import Meta, Progress

ITEMS, ROUNDS = 1_000_000, 5


def seconds(loop: Callable[[Iterable[int]], Iterable[int]]) -> float:
    """The processor time of a bare loop over all items: others on the machine take none of it."""
    began = thread_time()
    for _ in loop(range(ITEMS)):
        pass
    return thread_time() - began


def test_track_over_integers_costs_no_more_than_tqdm(
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    sent: list[Meta] = []
    tracked, by_tqdm = [], []
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        # Measured in turns, and the best of each: other load then slows both or neither.
        for _ in range(ROUNDS):
            tracked.append(seconds(Progress(sent.append).track))
            by_tqdm.append(seconds(lambda items: tqdm(items, file=nowhere)))
    ratio = min(tracked) / min(by_tqdm)
    record_testsuite_property("track / tqdm", round(ratio, 2))
    assert len(sent) >= 2 * ROUNDS
    assert sent[-1] == Meta.at(ITEMS, ITEMS)
    if ratio > 1:
        pytest.fail(f"track costs {ratio:.2f} times what tqdm costs")
