"""The bar of bodies with several loops, nested loops, parts and fractional counters."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from children import Meta, Progress
from children.meta import ALMOST, parse

Body = Callable[[Progress], object]


def reports(body: Body) -> list[Meta]:
    """All reports of a body. The last is its state when it returned."""
    sent: list[Meta] = []
    progress = Progress(sent.append, interval=0)
    body(progress)
    return [*sent, progress.meta]


def loop(progress: Progress, items: int = 10, **options: Any) -> None:
    for _ in progress.track(range(items), **options):
        pass


def two_loops(progress: Progress) -> None:
    loop(progress, 10)
    loop(progress, 50)


def ten_loops(progress: Progress) -> None:
    for _ in range(10):
        loop(progress)


def updates_that_begin_again(progress: Progress) -> None:
    for total in (4, 9):
        for i in range(total):
            progress.update(i + 1, total)


def updates_of_one_and_then_many(progress: Progress) -> None:
    progress.update(1, 1)
    for i in range(1, 31):
        progress.update(i, 30)


def a_count_that_is_corrected(progress: Progress) -> None:
    for i in (5, 4, 5, 6, 10):
        progress.update(i, 10)


def a_total_that_grows(progress: Progress) -> None:
    for i, total in enumerate((2, 5, 9, 14, 14, 14)):
        progress.update(i, total)


def a_loop_of_unknown_length(progress: Progress) -> None:
    loop(progress)
    for _ in progress.track(iter(range(9))):
        pass


def a_loop_left_early(progress: Progress) -> None:
    for i in progress.track(range(10)):
        if i == 5:
            break
    loop(progress)


def loops_side_by_side(progress: Progress) -> None:
    for _ in zip(progress.track(range(9)), progress.track(range(5)), strict=False):
        pass
    loop(progress)


def loops_in_loops(progress: Progress) -> None:
    for _ in progress.track(range(3)):
        for _ in progress.track(range(4)):
            loop(progress, 5)
        loop(progress)


def updates_in_a_loop(progress: Progress) -> None:
    for _ in progress.track(range(5)):
        for i in range(11):
            progress.update(i, 10)


def more_parts_than_a_whole(progress: Progress) -> None:
    for _ in range(5):
        with progress.part(0.4):
            loop(progress)


def a_part_after_a_loop(progress: Progress) -> None:
    loop(progress)
    with progress.part(0.5):
        loop(progress)
    loop(progress)


def a_part_that_failed(progress: Progress) -> None:
    try:
        with progress.part(0.5):
            for i in progress.track(range(10)):
                if i == 5:
                    raise OSError
    except OSError:
        pass
    with progress.part(0.5):
        loop(progress)


def more_than_there_are(progress: Progress) -> None:
    for i in range(6):
        progress.update(i, 3)


BODIES = [
    two_loops, ten_loops, updates_that_begin_again, updates_of_one_and_then_many,
    a_count_that_is_corrected, a_total_that_grows, a_loop_of_unknown_length, a_loop_left_early,
    loops_side_by_side, loops_in_loops, updates_in_a_loop, more_parts_than_a_whole,
    a_part_after_a_loop, a_part_that_failed, more_than_there_are,
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_the_bar_never_moves_back_and_is_never_full_before_the_end(body: Body) -> None:
    seen = reports(body)

    assert all(before.completion <= after.completion for before, after in pairwise(seen))
    assert seen[-1].completion <= ALMOST
    assert seen[-1].failed("no").completion <= ALMOST
    assert seen[-1].ok(None).completion == 100
    assert all(parse("PROGRESS", meta.as_dict()) == meta for meta in seen)


@pytest.mark.parametrize(
    ("body", "at_the_end"),
    [
        (loop, 99.0),
        (two_loops, ALMOST),
        (updates_that_begin_again, ALMOST),
        (updates_of_one_and_then_many, ALMOST),
        (a_loop_of_unknown_length, 99.0),
        (a_loop_left_early, 50 + 0.99 * 50),
        (a_part_that_failed, 75.0),
    ],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_a_loop_fills_99_percent_of_the_rest_of_the_bar(body: Body, at_the_end: float) -> None:
    assert reports(body)[-1].completion == pytest.approx(at_the_end)


def test_the_second_loop_fills_the_rest_of_the_bar() -> None:
    second = [meta.completion for meta in reports(two_loops) if meta.total == 50]

    assert second[0] == 99
    assert second[26] == pytest.approx(99.5, abs=0.03)
    assert len(set(second)) > 40


def test_a_nested_loop_fills_the_outer_item_and_the_outer_loop_counts() -> None:
    progress = Progress(lambda _: None)
    seen: list[Any] = []
    for _ in progress.track(range(4)):
        for _ in progress.track(range(5), message="inner"):
            seen.append((progress.meta.iteration, progress.meta.total, progress.meta.completion))

    assert seen[:5] == [(0, 4, pytest.approx(5 * inner)) for inner in range(5)]
    assert seen[10] == (2, 4, 50.0)
    assert seen[18] == (3, 4, pytest.approx(75 + 3 / 5 * 24))


def test_parts_fill_their_shares_of_the_bar() -> None:
    progress, seen = Progress(lambda _: None), []

    def look() -> None:
        meta = progress.meta
        seen.append((meta.iteration, meta.total, round(meta.completion, 1)))

    with progress.part(0.2):
        look()
        loop(progress, 3)
    look()
    with progress.part(0.8) as part:
        for i in part.track(range(2)):
            with progress.part(0.5):
                progress.update(1, 2)
                look()
            look()
            assert i < 2
    look()

    assert seen == [
        (0, None, 0.0),
        (3, 3, 20.0),
        (0, 2, 30.0),
        (0, 2, 40.0),
        (1, 2, 69.8),  # the end of the last item leaves 1 % of the loop's room
        (1, 2, 79.6),
        (2, 2, ALMOST),
    ]


@pytest.mark.parametrize("weight", [0, -0.1, 1.01, float("nan"), float("inf")])
def test_a_weight_out_of_range_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="more than 0, up to 1"), Progress(print).part(weight):
        pass


@pytest.mark.parametrize(
    ("iteration", "total", "counted", "completion"),
    [
        (0.3, 1.0, (0, 1), 30.0),
        (2.9, 10.9, (2, 11), 100 * 2.9 / 10.9),
        (10.9, 10.9, (11, 11), 99.0),
        (0.1, 0.5, (0, 1), 20.0),
        (0.5, 0.5, (1, 1), 99.0),
        (Decimal("0.25"), Decimal(1), (0, 1), 25.0),
        (Fraction(1, 3), 1, (0, 1), 100 / 3),
        (Fraction(6, 2), Decimal(6), (3, 6), 50.0),
        (1e-320, 5e-324, (1, 1), 99.0),
        (5, 3, (5, 3), 99.0),
        (5, 0, (5, 0), 0.0),
        (2**62, 2**63 - 1, (2**62, 2**63 - 1), 50.0),
    ],
)
def test_fractional_counters_move_the_bar(
    iteration: Any, total: Any, counted: tuple[int, int], completion: float
) -> None:
    progress = Progress(lambda _: None)

    progress.update(iteration, total)

    meta = progress.meta
    assert (meta.iteration, meta.total) == counted
    assert meta.completion == pytest.approx(completion)
    assert (type(meta.iteration), type(meta.total)) == (int, int)
    foreign = {"iteration": float(iteration), "total": float(total), "message": ""}
    if total < 2**53:
        assert parse("PROGRESS", foreign) == Meta.at(float(iteration), float(total))
        assert parse("PROGRESS", foreign).completion == pytest.approx(completion)
