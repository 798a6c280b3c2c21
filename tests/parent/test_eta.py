"""The pace of steps, and the estimated seconds until steps and runs end."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from children.meta import Meta
from parent.decisions.eta import run_eta, step_eta
from parent.decisions.step_pace import pace_after
from parent.models import Step

NOW = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def running(reports: Iterable[tuple[float, int, int | None]], **columns: Any) -> Step:
    """A step that started at 0, after these reports: (seconds, iteration, total)."""
    step = Step(name="a", state="RUNNING", started_at=at(0), queued_at=at(-1), **columns)
    for seconds, iteration, total in reports:
        take_report(step, seconds, Meta.at(iteration, total))
    return step


def take_report(step: Step, seconds: float, meta: Meta) -> None:
    """Apply a report as `parent.watch.mirror` does."""
    step.pace, step.paced_since = pace_after(step, meta, at(seconds))
    step.set_meta(meta)
    step.reported_at = at(seconds)


def steady(begin: float, end: float, total: int = 100, every: float = 0.5) -> Any:
    """Reports of a loop at one pace."""
    turns = int((end - begin) / every)
    return [(begin + i * every, total * i // turns, total) for i in range(turns + 1)]


def half(reports: list[Any]) -> list[Any]:
    return reports[: len(reports) // 2 + 1]


@pytest.mark.parametrize(
    ("reports", "now", "left"),
    [
        (half(steady(0, 100)), 50, 50),
        (half(steady(0, 100)), 50.9, 49),
        (half(steady(60, 160)), 110, 50),
        ([(0, 0, None), (5, 0, None), *half(steady(60, 160))], 110, 50),
        # Fast at first, slow now: at 75 of 100, one a second.
        ([*steady(0, 5)[:6], *((3 + t, 50 + t, 100) for t in range(1, 26))], 28, 25),
        # Slow at first, fast now.
        ([*half(steady(0, 200)), *((100 + t, 50 + t, 100) for t in range(1, 36))], 135, 16),
        # A second loop, in the hundredth that the first one left.
        ([*steady(0, 10)], 10, 1),
        # Each item takes 20 s: between two of them the time left shrinks.
        ([(20 * i, i, 10) for i in range(6)], 100, 100),
        ([(20 * i, i, 10) for i in range(6)], 115, 85),
        # The item takes longer than all before: nobody knows by how much.
        ([(20 * i, i, 10) for i in range(6)], 150, 110),
        ([(20 * i, i, 10) for i in range(10)], 199, 1),
        ([(20 * i, i, 10) for i in range(10)], 200, 1),
    ],
    ids=[
        "half of it done at one pace", "a little later", "after a minute of something else",
        "after messages without a count", "fast at first and slow now",
        "slow at first and fast now", "all counted and not ended", "long items",
        "in the middle of a long item", "an item that takes longer", "the last item",
        "the last item is over and it goes on",
    ],
)  # fmt: skip
def test_the_estimate_uses_the_recent_pace(reports: Any, now: float, left: float) -> None:
    assert step_eta(running(reports), at(now)) == pytest.approx(left, rel=0.25, abs=0.5)


@pytest.mark.parametrize(
    ("reports", "now"),
    [
        ([], 9),
        ([(0, 0, None)], 9),
        ([(0, 0, 10)], 9),
        ([(1, 700, None), (2, 900, None)], 9),
        ([(0, 0, 100), (0.5, 40, 100)], 0.6),
        ([*steady(0, 10), (10.1, 0, 50)], 10.2),
        ([*steady(0, 10), (10.1, 0, 50), (10.6, 1, 50)], 10.7),
        ([*steady(0, 10), *((10 + t, t, None) for t in range(30))], 40),
    ],
    ids=[
        "nothing was said", "no count", "nothing done", "no total", "half a second of it",
        "a second loop has begun", "half a second of a second loop", "a second loop without end",
    ],
)  # fmt: skip
def test_what_cannot_be_estimated_is_none(reports: Any, now: float) -> None:
    assert step_eta(running(reports), at(now)) is None
    assert run_eta([running(reports)], at(now)) is None


def test_the_pace_of_a_second_loop_is_its_own() -> None:
    step = running(steady(0, 10))
    for t in range(1, 50):
        meta = Meta(iteration=t, total=100, completion=99 + t / 101)
        take_report(step, 10 + t, meta)
        eta = step_eta(step, at(10 + t))
        assert eta is None if t < 2 else eta == pytest.approx(101 - t, rel=0.2)


def test_while_it_is_blocked_the_time_left_grows() -> None:
    step, etas = running(half(steady(0, 100))), []
    for seconds in range(51, 90, 4):
        take_report(step, seconds, Meta.at(50, 100))  # the same report again: the child is alive
        etas.append(step_eta(step, at(seconds)))

    grown = [each for each in etas if each is not None]
    assert grown == sorted(grown)
    assert len(grown) > 2
    assert grown[-1] > 2 * grown[0]


def test_a_step_that_never_moves_again_has_no_estimate_in_years() -> None:
    step = running(half(steady(0, 10)))
    for seconds in range(6, 900):
        take_report(step, seconds, Meta.at(50, 100))

    assert step_eta(step, at(900)) is None


def test_rows_from_the_release_before_have_the_pace_since_their_start() -> None:
    step = Step(state="RUNNING", started_at=at(-10), reported_at=at(0), completion=40.0, total=10)

    assert step_eta(step, at(0)) == 15
    assert run_eta([step, Step(state="WAITING")], at(0)) == 40


def again(step: Step, delay: float, now: float) -> Step:
    """The step with its next attempt, as `parent.runs.attempts.queue_attempt` makes it."""
    step.state, step.queued_at = "QUEUED", at(now + delay)
    step.set_meta(Meta())
    step.started_at = step.reported_at = None
    return step


def test_while_the_delay_of_a_retry_runs_it_counts() -> None:
    step = again(running(half(steady(0, 20))), delay=60, now=10)

    assert step_eta(step, at(10)) == pytest.approx(80, abs=2)
    assert run_eta([step], at(40)) == pytest.approx(50, abs=2)
    assert run_eta([step, Step(state="WAITING")], at(40)) is None


def test_after_a_retry_the_time_between_attempts_does_not_count() -> None:
    done = Step(state="OK", started_at=at(-20), finished_at=at(0), completion=100.0)
    step = again(running(half(steady(0, 16))), delay=0, now=120)
    assert run_eta([done, step], at(120)) == pytest.approx(16, abs=2)

    step.state, step.started_at = "RUNNING", at(120)
    assert run_eta([done, step], at(120)) == pytest.approx(16, abs=2)

    for seconds, iteration, total in half(steady(120, 136)):
        take_report(step, seconds, Meta.at(iteration, total))
    assert run_eta([done, step], at(128)) == pytest.approx(8, abs=1)


def test_the_pace_of_an_attempt_replaces_that_of_the_one_before() -> None:
    step = again(running(half(steady(0, 1000, 1000))), delay=0, now=500)
    step.state, step.started_at = "RUNNING", at(500)
    for seconds, iteration, total in steady(500, 510)[:5]:
        take_report(step, seconds, Meta.at(iteration, total))

    assert step_eta(step, at(502)) == pytest.approx(8, abs=1)


OK = {"state": "OK", "started_at": at(0), "finished_at": at(10), "completion": 100.0}
SILENT = {"state": "RUNNING", "started_at": at(10)}


@pytest.mark.parametrize(
    ("steps", "now", "left"),
    [
        ([OK, {"state": "QUEUED", "queued_at": at(10)}], 10, 10),
        ([OK, {"state": "QUEUED", "weight": 3.0}, {"state": "WAITING"}], 10, 40),
        ([OK, {"state": "RUNNING", "started_at": at(10), "weight": 2.0}], 14, 16),
        ([OK, SILENT], 19.9, 1),
        ([OK, SILENT], 50, 30),
        ([OK, SILENT, SILENT, {"state": "WAITING"}, {"state": "WAITING"}], 10, 20),
        ([OK, *[SILENT] * 4, *[{"state": "QUEUED"}] * 96], 10, 250),
        ([OK, SILENT, {"state": "ERROR"}, {"state": "SKIPPED"}], 10, 10),
        ([OK, SILENT, {"state": "QUEUED", "queued_at": at(70)}], 10, 80),
        ([OK, {**SILENT, "weight": 9.0}, SILENT], 10, 90),
        ([OK], 10, None),
        ([{"state": "QUEUED", "queued_at": at(0)}, {"state": "WAITING"}], 10, None),
        ([SILENT, {"state": "WAITING"}], 20, None),
    ],
    ids=[
        "the next is queued", "by their weights", "a running one that says nothing",
        "one that should be done", "one that should long be done", "two at a time",
        "a hundred, four at a time", "what failed takes no time", "one waits for its retry",
        "the longest of those side by side", "between two steps", "nothing has begun",
        "nothing has moved",
    ],
)  # fmt: skip
def test_the_estimate_of_a_run_is_that_of_its_steps(
    steps: list[dict[str, Any]], now: float, left: float | None
) -> None:
    eta = run_eta([Step(**{"queued_at": None, **columns}) for columns in steps], at(now))

    assert eta == (left if left is None else pytest.approx(left, abs=0.2))
