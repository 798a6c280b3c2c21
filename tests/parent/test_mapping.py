"""Decisions about mapped steps, as tables."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from children.meta import ALMOST, Status
from parent.decisions.mapping import (
    Counts,
    InvalidItems,
    allowed_failures,
    freeze,
    outcome,
    places,
    progress,
    tolerate_problem,
)


def takes_path(path: str, size: int = 0) -> None:
    """The inputs of a child."""


def numbers() -> Iterator[int]:
    yield from range(3)


class Unshown:
    def __repr__(self) -> str:
        raise ValueError("bad repr")


class Unsaid(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise SystemExit("bad str")


@pytest.mark.parametrize(
    ("given", "key", "frozen"),
    [
        ([], None, []),
        ([{"path": "a"}, {"path": "b"}], None, [("0", {"path": "a"}), ("1", {"path": "b"})]),
        (("a", "b"), None, [("0", {"path": "a"}), ("1", {"path": "b"})]),
        (numbers(), None, [("0", {"path": 0}), ("1", {"path": 1}), ("2", {"path": 2})]),
        ([{"path": "a"}], "path", [("a", {"path": "a"})]),
        ([{"path": 7}], "path", [("7", {"path": 7})]),
        (["x"], lambda item: item * 2, [("xx", {"path": "x"})]),
        ([None], None, [("0", {"path": None})]),
    ],
)
def test_items_are_frozen_with_keys(given: Any, key: Any, frozen: list[Any]) -> None:
    assert freeze(given, key=key, argument="path") == frozen


@pytest.mark.parametrize(
    ("change", "row", "kinds"),
    [
        (list.append, [], ["[0]", "[0, 1]", "[0, 1, 2]"]),
        (lambda row, n: row["in"].append(n), {"in": []}, ["[0]", "[0, 1]", "[0, 1, 2]"]),
        (lambda row, n: row["in"]["of"].update(n=n), {"in": {"of": {}}}, ["0", "1", "2"]),
        (lambda row, n: row.update(n=n), {}, ["0", "1", "2"]),
        (lambda row, n: row[0].append(n), ([],), ["[0]", "[0, 1]", "[0, 1, 2]"]),
    ],
)
def test_an_iterator_may_give_the_same_object_changed(
    change: Callable[[Any, int], object], row: Any, kinds: list[str]
) -> None:
    def reusing() -> Iterator[Any]:
        for n in range(3):
            change(row, n)
            yield row

    frozen = freeze(reusing(), argument="path")

    assert [kind in str(item.kwargs) for item, kind in zip(frozen, kinds, strict=True)] == [
        True
    ] * 3
    assert len({str(item.kwargs) for item in frozen}) == 3


@pytest.mark.parametrize(
    ("given", "options", "says"),
    [
        (None, {}, "gave a value of type NoneType, not a list"),
        ("abc", {}, "gave a value of type str, not a list"),
        ({"a": 1}, {}, "gave a value of type dict, not a list"),
        ({1, 2}, {}, "gave a value of type set, not a list"),
        ([1, 2, 3], {"limit": 2}, "WORKFLOW_MAP_LIMIT"),
        ([{"path": object()}], {}, "item 0 is not JSON"),
        (["a", float("nan")], {}, "item 1 is not JSON"),
        (["a", "b\x00"], {}, "item 1 is not JSON"),
        ([{1: 2}], {}, "not text"),
        (["a", "a"], {"key": lambda item: item}, "items 0 and 1 have the same key 'a'"),
        ([{"size": 1}], {"key": "path"}, "the key of item 0 is not there"),
        (["a"], {"key": lambda _: 1 / 0}, "the key of item 0 raised"),
        (["a"], {"key": lambda _: None}, "keys are texts or whole numbers"),
        (["a"], {"key": lambda _: Unshown()}, "keys are texts or whole numbers"),
        (["a"], {"key": lambda _: 10**5000}, "the key of item 0 has no text"),
        (["a"], {"key": lambda _: Unsaid("a")}, "the key of item 0 has no text"),
        (["a"], {"key": lambda _: ""}, "1 to 200 characters"),
        (["a"], {"key": lambda _: "x" * 201}, "1 to 200 characters"),
        (["a"], {"key": lambda _: "a\nb"}, "one line"),
        ([{"path": "a"}, {"pfad": "b"}], {"check_arguments": takes_path}, "item 1 does not fit"),
        ([1], {"argument": None}, "not a mapping"),
    ],
)
def test_what_cannot_be_items_is_refused(given: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidItems, match=says):
        freeze(given, **{"argument": "path", **options})


def test_an_endless_iterator_is_read_to_the_limit_only() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    with pytest.raises(InvalidItems, match="more than 5 items"):
        freeze(endless(), limit=5, argument="path")


@pytest.mark.parametrize(
    ("tolerate", "total", "allowed"),
    [
        ("", 10, 0),
        ("0", 10, 0),
        ("3", 10, 3),
        ("30", 10, 10),
        ("5%", 100, 5),
        ("5%", 99, 4),
        ("5%", 10, 0),
        ("33.3%", 1000, 333),
        ("100%", 7, 7),
        ("7%", 100, 7),
        ("29%", 100, 29),
        ("5%", 0, 0),
    ],
)
def test_how_many_may_fail(tolerate: str, total: int, allowed: int) -> None:
    assert allowed_failures(tolerate, total) == allowed


@pytest.mark.parametrize("tolerate", [-1, "x", "5 percent", "101%", "-1%", 1.5, True, "1/0"])
def test_a_wrong_tolerance_is_named(tolerate: Any) -> None:
    assert tolerate_problem(tolerate)


@pytest.mark.parametrize("tolerate", [0, 3, "3", "5%", "0.5%", ""])
def test_a_right_tolerance_is_no_problem(tolerate: Any) -> None:
    assert tolerate_problem(tolerate) is None


@pytest.mark.parametrize(
    ("max_active", "running", "count"),
    [
        (None, 0, 32),
        (1, 0, 1),
        (8, 8, 8),
        (100, 0, 32),
        (None, 16, 32),
        (None, 17, 34),
        (100, 40, 80),
        (100, 80, 100),
        (None, 400, 800),
        (5000, 900, 1000),
    ],
)
def test_places(max_active: int | None, running: int, count: int) -> None:
    assert places(max_active, running) == count


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        (Counts(total=0), {}),
        (Counts(total=5), {"waiting": 5}),
        (Counts(total=5, opened=3), {"waiting": 2, "queued": 3}),
        (Counts(total=5, opened=3, running=1), {"waiting": 2, "queued": 2, "running": 1}),
        (Counts(total=5, opened=5, ok=3, failed=2), {"ok": 3, "failed": 2}),
        (
            Counts(total=5, opened=2, ok=1, failed=1, skipped=3),
            {"ok": 1, "failed": 1, "skipped": 3},
        ),
        # A running item whose end was counted a moment before it was read.
        (Counts(total=2, opened=2, ok=2, running=1), {"ok": 2}),
    ],
)
def test_counters_always_add_up(counts: Counts, shown: dict[str, int]) -> None:
    found = counts.as_dict()

    assert {name: n for name, n in found.items() if n and name != "total"} == shown
    assert sum(found.values()) == 2 * counts.total


@pytest.mark.parametrize(
    ("counts", "before", "completion"),
    [
        (Counts(total=0), 0.0, 0.0),
        (Counts(total=4), 0.0, 0.0),
        (Counts(total=4, opened=4, ok=1), 0.0, 25.0),
        (Counts(total=4, opened=4, ok=1, running=1, running_completion=50.0), 0.0, 37.5),
        (Counts(total=4, opened=4, failed=1, skipped=1), 0.0, 50.0),
        (Counts(total=4, opened=4, ok=1), 37.5, 37.5),
        (Counts(total=4, opened=4, ok=4), 0.0, ALMOST),
    ],
)
def test_joint_progress(counts: Counts, before: float, completion: float) -> None:
    meta = progress(counts, before)

    assert (meta.completion, meta.iteration, meta.total) == (completion, counts.ended, counts.total)


@pytest.mark.parametrize(
    ("counts", "tolerate", "status"),
    [
        (Counts(total=0), "", Status.OK),
        (Counts(total=3, opened=3, ok=3), "", Status.OK),
        (Counts(total=3, opened=3, ok=2, failed=1), "", Status.ERROR),
        (Counts(total=3, opened=3, ok=2, failed=1), "1", Status.OK),
        (Counts(total=100, opened=100, ok=95, failed=5), "5%", Status.OK),
        (Counts(total=100, opened=100, ok=94, failed=6), "5%", Status.ERROR),
    ],
)
def test_the_outcome_follows_from_the_failures(
    counts: Counts, tolerate: str, status: Status
) -> None:
    assert outcome("load", counts, tolerate, ["bad"]).status is status


def test_an_error_counts_the_failures_and_names_the_first() -> None:
    counts = Counts(total=9, opened=6, ok=1, failed=5, skipped=3)
    failed = [f"Error in load[{key}]: no file" for key in "abcd"]

    meta = outcome("load", counts, "1", failed)

    assert meta.error == (
        "Error in load: 5 of 9 items failed, and 1 may; 3 were skipped. "
        "load[a]: no file; load[b]: no file; load[c]: no file; ..."
    )


def test_what_an_ok_step_returns_are_its_counters() -> None:
    counts = Counts(total=2, opened=2, ok=1, failed=1)

    assert outcome("load", counts, "1").result == counts.as_dict()


def test_a_key_function_sees_the_item_as_it_was_given() -> None:
    seen: list[Any] = []
    key: Callable[[Any], str] = lambda item: seen.append(item) or str(len(seen))  # type: ignore[func-returns-value]  # noqa: E731

    freeze([{"path": "a"}], key=key)

    assert seen == [{"path": "a"}]
