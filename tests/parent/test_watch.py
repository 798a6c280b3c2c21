"""What `watch_once` decides about one child, in every state and at every deadline."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from children.meta import Meta, Status
from parent.watch.decide import (
    End,
    Keep,
    Mirror,
    Republish,
    Stored,
    Verdict,
    Watched,
    watch_once,
    with_step_name,
)

T0 = datetime(2024, 5, 1, 12, tzinfo=UTC)
LONG_AGO = T0 - timedelta(days=1)

REPORT = Meta.at(3, 10, "reading").as_dict()
MALFORMED = {"iteration": "three", "total": float("nan"), "completion": None, "message": 7}
FAILED = {"exc_type": "ValueError", "exc_message": ["bad"], "exc_module": "builtins"}


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def queued(**more: Any) -> Watched:
    """A child whose message was sent at T0."""
    known: dict[str, Any] = {"name": "func_1", "queue": "celery", "queued_at": T0}
    return Watched(**(known | more))


def running(**more: Any) -> Watched:
    """A child that was claimed at T0."""
    return queued(**({"queued_at": LONG_AGO, "started_at": T0, "meta": Meta()} | more))


def outcome(verdict: Verdict) -> Meta:
    assert isinstance(verdict, End)
    return verdict.outcome


ENDS: Sequence[tuple[str, object, str | None]] = [
    ("SUCCESS", None, None),
    ("SUCCESS", "done", None),
    ("SUCCESS", [1, 2], None),
    ("SUCCESS", {"a": 1}, None),
    ("SUCCESS", MALFORMED, "Error in func_1: the result is not JSON: Out of range float values"),
    ("SUCCESS", Meta().ok(5).as_dict(), None),
    ("SUCCESS", Meta().failed("no disk").as_dict(), "Error in func_1: no disk"),
    ("SUCCESS", REPORT, "Error in func_1: the task returned malformed meta: status 'PROGRESS'"),
    ("FAILURE", FAILED, "Error in func_1: bad"),
    ("FAILURE", FAILED | {"exc_message": []}, "Error in func_1: ValueError"),
    ("FAILURE", ValueError("bad"), "Error in func_1: bad"),
    ("FAILURE", "bad", "Error in func_1: bad"),
    ("FAILURE", None, "Error in func_1: unknown error"),
    ("FAILURE", {"own": "kind"}, "Error in func_1: it failed with {'own': 'kind'}"),
    ("REVOKED", None, "Error in func_1: the task was revoked before it could finish"),
    ("REVOKED", FAILED, "Error in func_1: the task was revoked before it could finish"),
    ("REJECTED", "why", "Error in func_1: the task was rejected before it could finish"),
    ("IGNORED", None, "Error in func_1: the task was ignored before it could finish"),
    ("PROGRESS", {"status": "ERROR", "error": "no disk"}, "Error in func_1: no disk"),
    ("COMPRESSING", {"status": "ERROR"}, "Error in func_1: the task reported ERROR"),
]

REPORTS: Sequence[tuple[str, object, dict[str, object]]] = [
    ("STARTED", None, {"iteration": 0, "message": ""}),
    ("STARTED", {"pid": 7, "hostname": "w1"}, {"iteration": 0, "message": ""}),
    ("PROGRESS", REPORT, {"iteration": 3, "total": 10, "message": "reading"}),
    ("PROGRESS", MALFORMED, {"iteration": 0, "total": None, "message": "7"}),
    ("PROGRESS", None, {"message": "PROGRESS"}),
    ("PROGRESS", [1, 2], {"message": "[1, 2]"}),
    ("PROGRESS", "page 3", {"message": "page 3"}),
    ("COMPRESSING", REPORT, {"iteration": 3, "message": "reading"}),
    ("COMPRESSING", None, {"message": "COMPRESSING"}),
    ("RETRY", FAILED, {"message": "retrying after: bad"}),
    ("RETRY", ValueError("bad"), {"message": "retrying after: bad"}),
    ("RETRY", None, {"message": "retrying after: unknown error"}),
]

NOTHING: Sequence[Stored | None] = [
    None,
    Stored(state="PENDING", result=None),
    Stored(state="PENDING", result=REPORT),
    Stored(state="RECEIVED", result=None),
]

EVERY_LIMIT = {"queue_timeout": 1.0, "run_timeout": 1.0, "stall_timeout": 1.0}


@pytest.mark.parametrize(("state", "result", "error"), ENDS)
@pytest.mark.parametrize(
    "step",
    [
        queued(),
        running(),
        queued(publish_at=T0, **EVERY_LIMIT),
        running(dead_executor="w1:7", **EVERY_LIMIT),
    ],
    ids=["queued", "running", "queued, all overdue", "running, all overdue"],
)
def test_an_outcome_counts_whatever_has_passed(
    step: Watched, state: str, result: object, error: str | None
) -> None:
    found = outcome(watch_once(step, Stored(state=state, result=result), at(3600)))
    if error is None:
        assert (found.status, found.error, found.completion) == (Status.OK, None, 100.0)
    else:
        assert found.status is Status.ERROR
        assert str(found.error).startswith(error)


@pytest.mark.parametrize(("state", "result", "fields"), REPORTS)
def test_the_first_report_of_a_queued_child_says_that_it_started(
    state: str, result: object, fields: dict[str, object]
) -> None:
    step = queued(queue_timeout=60, run_timeout=100, stall_timeout=30, publish_at=at(5))
    verdict = watch_once(step, Stored(state=state, result=result), at(3600))
    assert isinstance(verdict, Mirror)
    assert {name: getattr(verdict.meta, name) for name in fields} == fields
    assert verdict.due_at == at(3600 + 30)


@pytest.mark.parametrize(
    ("state", "result", "fields"), [row for row in REPORTS if row[0] != "STARTED"]
)
def test_a_new_report_of_a_running_child_is_mirrored(
    state: str, result: object, fields: dict[str, object]
) -> None:
    verdict = watch_once(running(), Stored(state=state, result=result), at(1))
    assert isinstance(verdict, Mirror)
    assert {name: getattr(verdict.meta, name) for name in fields} == fields
    assert verdict.due_at is None


@pytest.mark.parametrize(
    ("state", "result"), [("PROGRESS", REPORT), ("COMPRESSING", REPORT), ("STARTED", None)]
)
def test_the_same_again_is_no_news(state: str, result: object) -> None:
    stored = Stored(state=state, result=result)
    first = watch_once(queued(), stored, at(1))
    assert isinstance(first, Mirror)
    assert watch_once(running(meta=first.meta), stored, at(2)) == Keep(None)


@pytest.mark.parametrize("stored", NOTHING)
@pytest.mark.parametrize(
    ("limits", "seconds", "expected"),
    [
        ({}, 1e6, Keep(None)),
        ({"queue_timeout": 60}, 59.999, Keep(at(60))),
        ({"queue_timeout": 0}, 1e6, Keep(None)),
        ({"publish_at": at(5)}, 4.999, Keep(at(5))),
        ({"publish_at": at(5)}, 5, Republish()),
        ({"publish_at": at(5), "queue_timeout": 60}, 1, Keep(at(5))),
        ({"publish_at": at(90), "queue_timeout": 60}, 1, Keep(at(60))),
        ({"publish_at": at(5), "queue_timeout": 60}, 59, Republish()),
        ({"run_timeout": 1, "stall_timeout": 1}, 3600, Keep(None)),
        ({"dead_executor": "w1:7"}, 3600, Keep(None)),
    ],
)
def test_a_queued_child_waits_for_its_start(
    stored: Stored | None, limits: dict[str, Any], seconds: float, expected: Verdict
) -> None:
    assert watch_once(queued(**limits), stored, at(seconds)) == expected


@pytest.mark.parametrize("stored", NOTHING)
@pytest.mark.parametrize(
    ("queue", "asked"), [("celery", 'queue "celery"'), ("gpu", 'queue "gpu"'), (None, "its queue")]
)
def test_a_child_that_never_starts_ends(
    stored: Stored | None, queue: str | None, asked: str
) -> None:
    step = queued(queue=queue, queue_timeout=600, publish_at=at(30))
    found = outcome(watch_once(step, stored, at(600)))
    assert found.error == f"func_1 did not start within 600 s: is a worker consuming {asked}?"


@pytest.mark.parametrize("stored", [*NOTHING, Stored(state="PROGRESS", result=REPORT)])
@pytest.mark.parametrize(
    ("limits", "seconds", "due"),
    [
        ({}, 1e6, None),
        ({"queue_timeout": 1}, 1e6, None),
        ({"publish_at": T0}, 1e6, None),
        ({"run_timeout": 0, "stall_timeout": 0}, 1e6, None),
        ({"run_timeout": 60}, 59.999, at(60)),
        ({"stall_timeout": 60}, 59.999, at(60)),
        ({"run_timeout": 60, "stall_timeout": 20}, 19, at(20)),
        ({"run_timeout": 60, "stall_timeout": 20, "reported_at": at(30)}, 49, at(50)),
        ({"run_timeout": 60, "stall_timeout": 20, "reported_at": at(50)}, 59, at(60)),
    ],
)
def test_a_running_child_is_left_alone_until_a_limit(
    stored: Stored | None, limits: dict[str, Any], seconds: float, due: datetime | None
) -> None:
    step = running(meta=Meta.at(3, 10, "reading"), **limits)
    assert watch_once(step, stored, at(seconds)) == Keep(due)


@pytest.mark.parametrize("stored", [*NOTHING, Stored(state="PROGRESS", result=REPORT)])
@pytest.mark.parametrize(
    ("limits", "seconds", "error"),
    [
        ({"run_timeout": 60}, 60, "func_1 did not finish within 60 s"),
        ({"run_timeout": 0.5}, 60, "func_1 did not finish within 0.5 s"),
        (
            {"stall_timeout": 20},
            20,
            "func_1 has not reported for 20 s: it may hang, or need a longer stall_timeout",
        ),
        (
            {"stall_timeout": 20, "reported_at": at(30)},
            50,
            "func_1 has not reported for 20 s: it may hang, or need a longer stall_timeout",
        ),
        (
            {"dead_executor": "w1:7"},
            1,
            "func_1: the worker w1:7 died while running it",
        ),
        (
            {"dead_executor": "w1:7", "run_timeout": 1, "stall_timeout": 1},
            60,
            "func_1: the worker w1:7 died while running it",
        ),
    ],
)
def test_a_running_child_ends_at_its_limit_and_keeps_its_counters(
    stored: Stored | None, limits: dict[str, Any], seconds: float, error: str
) -> None:
    step = running(meta=Meta.at(3, 10, "reading"), **limits)
    found = outcome(watch_once(step, stored, at(seconds)))
    assert found == Meta.at(3, 10, "reading").failed(error)


def test_a_report_that_is_seen_late_is_not_silence() -> None:
    step = running(stall_timeout=20, reported_at=at(0), meta=Meta.at(2, 10))
    news = Stored(state="PROGRESS", result=REPORT)
    assert watch_once(step, news, at(21)) == Mirror(Meta.at(3, 10, "reading"), at(41))


def test_the_same_report_written_again_is_not_silence() -> None:
    step = running(stall_timeout=20, reported_at=at(0), meta=Meta.at(3, 10, "reading"))
    again = Stored(state="PROGRESS", result=REPORT, at=at(15))
    assert watch_once(step, again, at(21)) == Keep(at(35))


def test_silence_counts_from_when_the_report_was_written() -> None:
    step = running(stall_timeout=20, meta=Meta.at(2, 10))
    old = Stored(state="PROGRESS", result=REPORT, at=at(15))
    assert watch_once(step, old, at(34)) == Mirror(Meta.at(3, 10, "reading"), at(35))
    assert "has not reported" in str(outcome(watch_once(step, old, at(35))).error)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("bad", "Error in func_1: bad"),
        ("Error in func_1: bad", "Error in func_1: bad"),
        ("Error in func_10: bad", "Error in func_1: Error in func_10: bad"),
    ],
)
def test_an_error_names_the_step_once(error: str, told: str) -> None:
    assert with_step_name("func_1", Meta().failed(error)).error == told


def test_a_good_outcome_is_left_as_it_is() -> None:
    assert with_step_name("func_1", Meta().ok(3)) == Meta().ok(3)
