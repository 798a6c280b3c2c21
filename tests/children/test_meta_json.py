"""Which results can be stored, and the errors for those that cannot."""

import sys
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest

from children import Meta, Status
from children.errors import ResultNotJSON
from children.sanitize import MAX_DEPTH, MAX_DIGITS, check_json


def nested(depth: int) -> list[Any]:
    """`depth` nested lists."""
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        2**70,
        -1.5,
        "text with an ü, a \N{GRINNING FACE} and a \\",
        "\\u0000",
        "\\\\u0000",
        [],
        {"a": [1, {"b": None}]},
        (1, 2),
        nested(MAX_DEPTH),
        {"deep": nested(MAX_DEPTH - 1)},
        [nested(3)] * 1000,
    ],
)
def test_json_values_are_accepted(value: object) -> None:
    check_json(value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({1, 2}, "Object of type set is not JSON serializable"),
        (b"bytes", "Object of type bytes is not JSON serializable"),
        (Decimal("1.5"), "Object of type Decimal is not JSON serializable"),
        (datetime(2024, 5, 1, tzinfo=UTC), "Object of type datetime is not JSON serializable"),
        ([object()], "Object of type object is not JSON serializable"),
        (iter(()), "Object of type tuple_iterator is not JSON serializable"),
        ({(1, 2): 3}, "keys must be str, int, float, bool or None, not tuple"),
        (float("nan"), "Out of range float values are not JSON compliant"),
        ({"a": float("-inf")}, "Out of range float values are not JSON compliant"),
        ({float("nan"): 1}, "Out of range float values are not JSON compliant"),
        ("a\x00b", "a text in it has a NUL"),
        ({"a\x00b": 1}, "a text in it has a NUL"),
        (["\\\x00"], "a text in it has a NUL"),
        ("lone \udc80", "surrogates not allowed"),
        ({"\ud800": 1}, "surrogates not allowed"),
        (circle(), "Circular reference detected"),
        (nested(MAX_DEPTH + 1), f"it is nested deeper than {MAX_DEPTH}"),
        ({"deep": nested(MAX_DEPTH)}, f"it is nested deeper than {MAX_DEPTH}"),
        (nested(100_000), "maximum recursion depth exceeded"),
    ],
)
def test_the_error_names_what_is_not_json(value: object, why: str) -> None:
    with pytest.raises(ResultNotJSON, match=r"^the result is not JSON") as told:
        check_json(value)
    assert why in str(told.value)


LONG = 10**MAX_DIGITS  # one digit more


@pytest.mark.parametrize("limit", [0, 2 * MAX_DIGITS])
@pytest.mark.parametrize(
    "value", [LONG, -LONG, {"a": [1, (LONG,)]}], ids=["one", "below", "inside"]
)
def test_a_number_that_others_cannot_read_is_refused(value: object, limit: int) -> None:
    sys.set_int_max_str_digits(limit)  # as a body does, in its own process
    try:
        with pytest.raises(ResultNotJSON, match="has more than 4,300 digits; give it as text"):
            check_json(value)
        with pytest.raises(ResultNotJSON, match="has more than 4,300 digits; give it as text"):
            Meta().ok(value)
        assert check_json([LONG - 1, 1 - LONG, 1.5, True, "9" * 2 * MAX_DIGITS]) > 4 * MAX_DIGITS
    finally:
        sys.set_int_max_str_digits(MAX_DIGITS)


def test_the_error_begins_with_the_callers_words() -> None:
    with pytest.raises(ResultNotJSON, match=r"^the inputs are not JSON: Object of type set"):
        check_json({1}, "the inputs are")


def test_an_outcome_keeps_the_counters_of_the_last_report() -> None:
    before = Meta.at(3, 10, "reading")
    good, bad = before.ok({"rows": 3}), before.failed("no disk")
    assert (good.iteration, good.total, good.completion, good.message) == (3, 10, 100.0, "reading")
    assert (bad.iteration, bad.total, bad.completion, bad.message) == (3, 10, 30.0, "reading")
    assert (good.status, good.error, good.result) == (Status.OK, None, {"rows": 3})
    assert (bad.status, bad.error, bad.result) == (Status.ERROR, "no disk", None)


def test_only_an_outcome_carries_a_result() -> None:
    keys = ["iteration", "total", "completion", "status", "message", "error"]
    assert list(Meta.at(3, 10).as_dict()) == keys
    assert list(Meta.at(3, 10).ok(None).as_dict()) == [*keys, "result"]


@pytest.mark.parametrize(
    ("iteration", "total", "completion"),
    [(0, None, 0.0), (5, None, 0.0), (0, 0, 0.0), (5, 0, 0.0), (1, 4, 25.0), (9, 4, 99.0)],
)
def test_completion_stays_below_100_until_the_end(
    iteration: int, total: int | None, completion: float
) -> None:
    assert Meta.at(iteration, total).completion == completion


class Level(IntEnum):
    LOW = 1


@pytest.mark.parametrize(
    "value",
    [
        {1: "int", "1": "str"},
        {True: 1, "true": 2},
        {None: 1, "null": 2},
        {1.5: 1, "1.5": 2},
        {"1": 1, Level.LOW: 2},
        [{"a": ({"b": {"7": 1, 7: 2}},)}],
        {10**30: 1, str(10**30): 2},
    ],
    ids=repr,
)
def test_keys_that_become_equal_in_json_are_refused(value: object) -> None:
    with pytest.raises(ResultNotJSON, match=r"the keys .* and .* of a dict are the same there"):
        check_json(value)


@pytest.mark.parametrize("value", [{1: 1, "2": 2}, {True: 1, "True": 2}, {1.0: 1, "1": 2}, {"": 1}])
def test_keys_that_stay_different_in_json_are_accepted(value: object) -> None:
    check_json(value)
