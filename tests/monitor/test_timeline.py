"""The timeline's scale, and the typical times."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.pages.drawing.timeline import LENGTH, Span, draw
from monitor.pages.typical_duration import TAKE, medians
from parent.models import Attempt, Run, Step

BEGAN = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


BEGUN = {"state": "RUNNING", "attempt": 1, "queued_at": at(1), "started_at": at(2)}


def spans(run: Run, step: Step, *earlier: Attempt, now: datetime) -> list[Span]:
    step.pk = 1
    (row,) = draw(run, [step], {1: list(earlier)}, now=now).rows
    return list(row.spans)


def places(found: list[Span]) -> list[tuple[int, str, float, float]]:
    return [(span.attempt, span.look, span.x, span.width) for span in found]


def test_queued_and_running_time_are_to_scale() -> None:
    run = Run(created_at=at(0), finished_at=at(10), state="SUCCESS")
    step = Step(
        state="OK", attempt=1, queued_at=at(1), started_at=at(3), finished_at=at(8), name="one"
    )

    found = spans(run, step, now=at(99))

    assert places(found) == [(1, "queued", 100, 200), (1, "ok", 300, 500)]
    assert [span.seconds for span in found] == [2, 5]


def test_each_attempt_has_its_spans_and_an_active_one_ends_now() -> None:
    run = Run(created_at=at(0), state="PROGRESS")
    first = Attempt(number=1, error="no", queued_at=at(0), started_at=at(1), finished_at=at(2))
    step = Step(state="RUNNING", attempt=2, queued_at=at(4), started_at=at(5), name="one")

    found = spans(run, step, first, now=at(10))

    assert places(found) == [
        (1, "queued", 0, 100),
        (1, "failed", 100, 100),
        (2, "queued", 400, 100),
        (2, "running", 500, 500),
    ]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step(state="WAITING", name="one"), []),
        (Step(state="QUEUED", attempt=1, queued_at=at(5), name="one"), [(1, "queued", 500, 500)]),
        # A retry that is yet to be published.
        (Step(state="QUEUED", attempt=1, queued_at=at(15), name="one"), []),
        # Cancelled in the queue: it never ran.
        (
            Step(state="CANCELLED", attempt=1, queued_at=at(2), finished_at=at(4), name="one"),
            [(1, "queued", 200, 200)],
        ),
        # A signal that was waited for, and that nothing waits for any more.
        (
            Step(state="SKIPPED", attempt=1, started_at=at(2), finished_at=at(4), name="one"),
            [(1, "skipped", 200, 200)],
        ),
        # Too short to be seen: drawn wider, and not over the edge.
        (
            Step(state="ERROR", attempt=1, started_at=at(10), finished_at=at(10), name="one"),
            [(1, "failed", LENGTH - 3, 3)],
        ),
    ],
)
def test_what_is_yet_to_come_or_never_was(
    step: Step, expected: list[tuple[int, str, float, float]]
) -> None:
    assert places(spans(Run(created_at=at(0), state="PROGRESS"), step, now=at(10))) == expected


@pytest.mark.parametrize(
    ("columns", "has_log"),
    [
        ({"state": "WAITING"}, False),
        ({"state": "QUEUED", "attempt": 1, "queued_at": at(1)}, False),
        (BEGUN, True),
        (BEGUN | {"state": "OK", "finished_at": at(3)}, True),
        (BEGUN | {"awaits": "approval"}, False),
        (BEGUN | {"task": "parent.shop"}, False),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_child_that_has_begun_leads_to_its_log(columns: dict[str, Any], has_log: bool) -> None:
    run = Run(created_at=at(0), state="PROGRESS")
    step = Step(**{"name": "one", "task": "shop.one", **columns})

    assert draw(run, [step], {}, now=at(9)).rows[0].has_log == has_log


def test_a_run_of_no_length_can_be_drawn() -> None:
    step = Step(state="QUEUED", attempt=1, queued_at=at(0), name="one")
    assert places(spans(Run(created_at=at(0)), step, now=at(0))) == [(1, "queued", 0, 3)]


def test_medians_are_of_the_latest_of_each_workflow() -> None:
    long_ago = [("often", at(0), at(900))] * 50
    lately = [("often", at(0), at(seconds)) for seconds in range(1, TAKE + 1)]
    rest = [("once", at(0), at(4)), ("never", None, None)]

    assert medians([*lately, *rest, *long_ago]) == {"often": 10.5, "once": 4}
