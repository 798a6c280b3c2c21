"""Everything that Celery stores can be read as uniform meta."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from children.meta import Meta, Status, parse
from children.sanitize import one_line

REPORT = {
    "iteration": 3,
    "total": 10,
    "completion": 30.0,
    "status": "PROGRESS",
    "message": "halfway, nearly",
    "error": None,
}
OK = REPORT | {"status": "OK", "completion": 100.0, "result": {"a": 1}}
AT_3 = {"iteration": 3, "total": 10, "completion": 30.0, "status": "PROGRESS"}
READING = {"message": "Reading"}
CELERY_PROGRESS = {
    "pending": False,
    "current": 3,
    "total": 10,
    "percent": 30.0,
    "description": "Reading",
}
HUGE = 10**400
CELERY_STATES = (
    "PENDING", "RECEIVED", "STARTED", "PROGRESS", "SUCCESS", "FAILURE",
    "RETRY", "REVOKED", "REJECTED", "IGNORED", "COMPRESSING",
)  # fmt: skip


@pytest.mark.parametrize(
    ("state", "stored", "expected"),
    [
        ("PENDING", None, {"status": "PENDING", "iteration": 0, "total": None}),
        ("RECEIVED", None, {"status": "PENDING"}),
        ("PENDING", REPORT, {"status": "PENDING", "iteration": 0}),
        ("STARTED", {"pid": 7, "hostname": "w1"}, {"status": "PROGRESS", "iteration": 0}),
        ("PROGRESS", REPORT, REPORT),
        ("COMPRESSING", REPORT, REPORT),
        ("COMPRESSING", None, {"status": "PROGRESS", "message": "COMPRESSING"}),
        ("PROGRESS", {"current": 3, "total": 10}, AT_3),
        ("PROGRESS", {"current": 3, "total": 10, "status": "Reading"}, AT_3 | READING),
        ("PROGRESS", {"current": 3, "total": 10, "status": "PROGRESS"}, AT_3 | {"message": ""}),
        ("READING", {"current": 3, "total": 10, "message": "Reading"}, AT_3 | READING),
        ("STARTED", {"current": 3, "total": 10, "message": "Reading"}, AT_3 | READING),
        ("PROGRESS", CELERY_PROGRESS, AT_3 | READING),
        ("PROGRESS", CELERY_PROGRESS | {"percent": 12.5}, AT_3 | {"completion": 12.5}),
        ("PROGRESS", {"progress": 50}, {"completion": 50.0, "iteration": 0, "total": None}),
        ("PROGRESS", {"progress": 100}, {"completion": 99.9, "status": "PROGRESS"}),
        ("PROGRESS", {"current": 3}, {"completion": 0.0, "iteration": 3, "total": None}),
        ("PROGRESS", {"current": "3", "total": 10}, {"completion": 0.0, "iteration": 0}),
        ("PROGRESS", REPORT | {"current": 9, "percent": 90, "description": "x"}, REPORT),
        ("SUCCESS", {"current": 9, "total": 9}, {"result": {"current": 9, "total": 9}}),
        ("PROGRESS", "page 7", {"status": "PROGRESS", "message": "page 7"}),
        ("PROGRESS", [1, 2], {"status": "PROGRESS", "message": "[1, 2]"}),
        ("PROGRESS", {}, {"status": "PROGRESS", "iteration": 0, "total": None, "message": ""}),
        ("PROGRESS", {"status": "ERROR", "error": "no disk"}, {"error": "no disk"}),
        ("PROGRESS", {"status": "ERROR"}, {"error": "the task reported ERROR"}),
        ("PROGRESS", {"status": "ERROR", "error": 3}, {"error": "it failed with 3"}),
        ("PROGRESS", {"status": "ERROR", "error": KeyError("nope")}, {"error": "KeyError: 'nope'"}),
        ("FAILURE", 3, {"error": "it failed with 3"}),
        ("FAILURE", {"code": 3}, {"error": "it failed with {'code': 3}"}),
        ("FAILURE", KeyError("nope"), {"error": "KeyError: 'nope'"}),
        ("FAILURE", ValueError(3), {"error": "ValueError: 3"}),
        ("RETRY", 3, {"message": "retrying after: it failed with 3"}),
        ("SUCCESS", REPORT | {"status": "ERROR", "error": 3}, {"error": "it failed with 3"}),
        ("SUCCESS", None, {"status": "OK", "completion": 100.0, "result": None}),
        ("SUCCESS", [1, "a"], {"status": "OK", "completion": 100.0, "result": [1, "a"]}),
        ("SUCCESS", {"iteration": 3}, {"status": "OK", "result": {"iteration": 3}}),
        ("SUCCESS", OK, OK),
        ("SUCCESS", OK | {"completion": 30.0}, {"completion": 100.0}),
        ("SUCCESS", REPORT | {"status": "OK"}, {"status": "OK", "result": None}),
        (
            "SUCCESS",
            REPORT | {"status": "ERROR", "error": "no disk"},
            {"status": "ERROR", "error": "no disk", "iteration": 3, "completion": 30.0},
        ),
        ("SUCCESS", REPORT | {"status": "ERROR"}, {"error": "halfway, nearly"}),
        (
            "SUCCESS",
            REPORT | {"status": "ERROR", "message": ""},
            {"error": "the task ended with status ERROR"},
        ),
        (
            "SUCCESS",
            REPORT,
            {
                "status": "ERROR",
                "error": "the task returned malformed meta: "
                "status 'PROGRESS' is neither OK nor ERROR",
            },
        ),
        ("FAILURE", ValueError("bad"), {"status": "ERROR", "error": "bad"}),
        ("FAILURE", None, {"status": "ERROR", "error": "unknown error"}),
        (
            "FAILURE",
            {"exc_type": "ValueError", "exc_message": ["bad"], "exc_module": "builtins"},
            {"status": "ERROR", "error": "bad"},
        ),
        ("RETRY", ValueError("busy"), {"status": "PROGRESS", "message": "retrying after: busy"}),
        (
            "RETRY",
            {"exc_type": "Busy", "exc_message": [], "exc_module": "shop"},
            {"status": "PROGRESS", "message": "retrying after: Busy"},
        ),
        ("REVOKED", None, {"error": "the task was revoked before it could finish"}),
        ("REJECTED", None, {"error": "the task was rejected before it could finish"}),
        ("IGNORED", None, {"error": "the task was ignored before it could finish"}),
    ],
)
def test_every_state(state: str, stored: object, expected: dict[str, Any]) -> None:
    wire = parse(state, stored).as_dict()
    assert {key: wire[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("iteration", "7", 0),
        ("iteration", None, 0),
        ("iteration", -1, 0),
        ("iteration", True, 0),
        ("iteration", float("nan"), 0),
        ("iteration", float("inf"), 0),
        ("iteration", HUGE, 0),
        ("iteration", 2**63, 0),
        ("iteration", 2**63 - 1, 2**63 - 1),
        ("iteration", 3.0, 3),
        ("total", "many", None),
        ("total", -5, None),
        ("total", False, None),
        ("total", HUGE, None),
        ("total", float("-inf"), None),
        ("completion", 130, 99.9),
        ("completion", -3, 0.0),
        ("completion", HUGE, 99.9),
        ("completion", float("nan"), 30.0),
        ("completion", float("inf"), 30.0),
        ("completion", True, 30.0),
        ("completion", "30 %", 30.0),
        ("message", None, ""),
        ("message", 5, "5"),
        ("message", ["a"], "['a']"),
        ("completion", 100, 99.9),
        ("message", "a\x00b", "a\ufffdb"),
        ("message", "10 %\r20 %\x1b[K", "10 % 20 %"),
        ("message", "a\udc80b", "a?b"),
        ("message", "x" * 3000, "x" * 1999 + "…"),
    ],
)
def test_a_malformed_field_is_normalised(field: str, value: object, expected: object) -> None:
    assert parse("PROGRESS", REPORT | {field: value}).as_dict()[field] == expected


@pytest.mark.parametrize("field", REPORT)
def test_a_report_may_lack_fields(field: str) -> None:
    stored = {key: value for key, value in REPORT.items() if key != field}
    assert parse("PROGRESS", stored).status is Status.PROGRESS


@pytest.mark.parametrize(
    "field", [key for key in REPORT if key not in ("completion", "status", "error")]
)
def test_a_dict_that_lacks_a_field_of_meta_is_an_ordinary_return_value(field: str) -> None:
    stored = {key: value for key, value in OK.items() if key != field}
    assert parse("SUCCESS", stored).result == stored


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (float("nan"), "Out of range float values are not JSON compliant"),
        ({"a": [float("inf")]}, "Out of range float values are not JSON compliant"),
        ("a\x00b", "a text in it has a NUL"),
        ("a\udc80b", "surrogates not allowed"),
        ({1, 2}, "Object of type set is not JSON serializable"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda result: result, lambda result: OK | {"result": result}])
def test_a_foreign_result_that_no_database_takes_is_an_error(
    result: object, why: str, wrap: Any
) -> None:
    meta = parse("SUCCESS", wrap(result))
    assert meta.status is Status.ERROR
    assert why in str(meta.error)


def test_a_value_whose_str_raises_does_not_stop_the_watch() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("I say nothing")

    assert parse("FAILURE", Mute()).error == "Mute"
    assert parse("PROGRESS", REPORT | {"message": Mute()}).message == "Mute"


any_text = st.text(st.characters(exclude_categories=()))
scalars = st.none() | st.booleans() | st.integers() | st.just(HUGE) | st.floats() | any_text
values = st.recursive(
    scalars,
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(any_text, parts, max_size=4),
    max_leaves=12,
)
statuses = st.sampled_from(list(Status)) | values
metas = st.fixed_dictionaries(
    {}, optional=dict.fromkeys((*REPORT, "result"), values) | {"status": statuses}
)
whole_metas = st.fixed_dictionaries(
    dict.fromkeys(REPORT, values) | {"status": statuses}, optional={"result": values}
)
failures = st.fixed_dictionaries({"exc_type": values}, optional={"exc_message": values})


@given(
    state=st.sampled_from(CELERY_STATES) | any_text,
    stored=values | metas | whole_metas | failures,
)
@settings(deadline=None, max_examples=400)
def test_parsing_never_raises_and_its_result_can_be_stored(state: str, stored: Any) -> None:
    meta = parse(state, stored)
    wire = meta.as_dict()
    assert json.loads(json.dumps(wire, allow_nan=False)) == wire
    json.dumps(wire, ensure_ascii=False).encode("utf-8")
    assert 0 <= meta.completion <= 100
    assert 0 <= meta.iteration < 2**63
    assert meta.total is None or 0 <= meta.total < 2**63
    assert (meta.error is not None) == (meta.status is Status.ERROR)
    assert meta.final or meta.result is None


@given(
    iteration=st.integers(0, 2**63 - 1),
    total=st.none() | st.integers(0, 2**63 - 1),
    message=any_text,
    error=any_text,
)
@settings(deadline=None)
def test_meta_is_the_same_after_writing_and_parsing(
    iteration: int, total: int | None, message: str, error: str
) -> None:
    meta = Meta.at(iteration, total, message)
    assert parse("PROGRESS", meta.as_dict()) == meta
    assert parse("SUCCESS", meta.ok([message.isascii()]).as_dict()) == meta.ok([message.isascii()])
    failed = meta.failed(error or "it failed")
    in_one_line = replace(failed, error=one_line(str(failed.error)))
    assert parse("SUCCESS", failed.as_dict()) == in_one_line
