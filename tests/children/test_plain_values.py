"""Results that Celery's JSON takes are taken, and stored as plain JSON."""

import json
from collections import OrderedDict, defaultdict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from django.utils.functional import lazystr
from django.utils.translation import gettext_lazy
from kombu.utils import json as kombu_json

from children import Progress, Status, child_task
from children.errors import ResultNotJSON
from children.meta import Meta, parse
from children.sanitize import MAX_DEPTH, plain_form, plain_json
from tests.children.conftest import MemoryHost

ID = UUID("11112222-3333-4444-5555-666677778888")


class Money:
    """A type of a team's own, which tells JSON what it is."""

    def __init__(self, amount: Decimal) -> None:
        self.amount = amount

    def __json__(self) -> object:
        return {"amount": self.amount, "currency": "EUR"}


class Weight:
    """A type of a team's own that is registered with kombu."""

    def __init__(self, grams: int) -> None:
        self.grams = grams


class Size(StrEnum):
    LARGE = "large"


@pytest.fixture(autouse=True)
def _weight_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_encoders", "_decoders"):
        monkeypatch.setattr(kombu_json, name, dict(vars(kombu_json)[name]))
    kombu_json.register_type(Weight, "weight", lambda weight: weight.grams, Weight)


CASES: dict[str, tuple[object, object]] = {
    "a decimal": (Decimal("1.50"), "1.50"),
    "no number": (Decimal("NaN"), "NaN"),
    "a time in UTC": (datetime(2024, 5, 1, 8, 30, tzinfo=UTC), "2024-05-01T08:30:00+00:00"),
    "microseconds": (datetime(2024, 5, 1, 8, 30, 0, 7), "2024-05-01T08:30:00.000007"),  # noqa: DTZ001
    "a date": (date(2024, 5, 1), "2024-05-01"),
    "a time of day": (time(8, 30), "08:30:00"),
    "a UUID": (ID, "11112222-3333-4444-5555-666677778888"),
    "text in bytes": ("größe".encode(), "größe"),
    "other bytes": (b"\xff\x00", "/wA="),
    "lazy text": (lazystr("later"), "later"),
    "a translation": (gettext_lazy("Monday"), "Monday"),
    "an enum": (Size.LARGE, "large"),
    "a type with __json__": (Money(Decimal("2.5")), {"amount": "2.5", "currency": "EUR"}),
    "a registered type": (Weight(5), 5),
    "nested": (
        {"rows": [(Decimal(1), {"at": date(2024, 5, 1)})], "id": ID},
        {"rows": [["1", {"at": "2024-05-01"}]], "id": str(ID)},
    ),
    "a dict of the author's that looks like kombu's": (
        {"__type__": 3, "__value__": Decimal(1)},
        {"__type__": 3, "__value__": "1"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_value_that_celerys_json_takes_is_stored_as_plain_json(name: str) -> None:
    value, stored = CASES[name]
    plain, size = plain_json(value)
    assert plain == stored
    assert size == len(json.dumps(stored, ensure_ascii=False).encode())


@pytest.mark.parametrize("name", [name for name in CASES if "author" not in name])
def test_it_reads_the_same_before_and_after_celery_stored_it(name: str) -> None:
    value, stored = CASES[name]
    text = kombu_json.dumps(value)
    assert json.loads(text, object_hook=plain_form) == stored  # as a tick reads it
    assert plain_json(kombu_json.loads(text))[0] == stored  # as `watch()` does


@pytest.mark.parametrize("name", CASES)
def test_a_childs_and_a_foreign_tasks_results_are_taken_alike(
    memory_host: MemoryHost, name: str
) -> None:
    value, stored = CASES[name]

    @child_task(name="shop.returns")
    def returns(progress: Progress) -> object:
        return value

    attempt, answer = memory_host.run(returns)
    foreign = parse("SUCCESS", value)

    assert (attempt.outcome.status, attempt.outcome.result) == (Status.OK, stored)
    assert (foreign.status, foreign.result) == (Status.OK, stored)
    assert attempt.outcome.result_size == foreign.result_size
    assert answer.result["result"] == stored
    assert returns() is value  # a direct call returns what the body returns


def test_plain_json_is_not_copied() -> None:
    value = {"rows": (1, 2)}
    assert plain_json(value)[0] is value


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Share(float):
    pass


class Row(dict[Any, Any]):
    """Its methods are an author's code, and raise when the engine and Celery call them later."""

    asked = 0

    def items(self) -> Any:
        self.asked += 1
        if self.asked > 1:
            raise AssertionError("it is asked again")
        return super().items()


class Rows(list[Any]):
    pass


DERIVED: dict[str, Any] = {
    "text": Text("a"),
    "a whole number": Number(3),
    "a number": Share(0.5),
    "a dict": Row(a=1),
    "a list": Rows([1]),
    "a name": {Text("a"): 1},
    "in a list": [1, Row(a=1)],
    "in a tuple": (Rows([1]), 2),
    "in a dict": {"a": {"b": Text("c")}},
    "an ordered dict": OrderedDict(a=OrderedDict(b=1)),
    "a dict with defaults": defaultdict(list, a=[1]),
}


def types_in(value: Any) -> set[type]:
    found = {type(value)}
    parts = [*value, *value.values()] if type(value) is dict else value
    return found.union(*map(types_in, parts)) if type(value) in (dict, list) else found


@pytest.mark.parametrize("value", DERIVED.values(), ids=DERIVED)
def test_of_a_type_derived_from_pythons_only_the_value_stays(value: Any) -> None:
    plain, _ = plain_json(value)

    assert types_in(plain) <= {dict, list, str, int, float}
    assert json.loads(json.dumps(plain)) == plain


class Raises:
    def __json__(self) -> object:
        raise LookupError("no such rate")


class Endless:
    def __json__(self) -> object:
        return [Endless()]


def deep() -> object:
    value: object = Decimal(1)
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (timedelta(seconds=5), "Object of type timedelta is not JSON serializable"),
        ([{1, 2}], "Object of type set is not JSON serializable"),
        ({ID: 1}, "keys must be str, int, float, bool or None, not UUID"),
        ([Decimal(1), float("nan")], "Out of range float values are not JSON compliant"),
        (lazystr("a\0b"), "a text in it has a NUL"),
        (b"a\0b", "a text in it has a NUL"),
        (lazystr("lone \udc80"), "surrogates not allowed"),
        (Raises(), "Raises raised LookupError: no such rate"),
        (Endless(), "recursion"),
        (deep(), f"it is nested deeper than {MAX_DEPTH}"),
        ({1: Decimal(1), "1": Decimal(2)}, "the keys 1 and '1' of a dict are the same there"),
    ],
)
def test_what_it_does_not_take_is_an_error(value: Any, why: str) -> None:
    with pytest.raises(ResultNotJSON, match=r"^the result is not JSON") as told:
        Meta().ok(value)
    assert why in str(told.value)
    foreign = parse("SUCCESS", value)
    assert foreign.status is Status.ERROR
    assert why in str(foreign.error)
