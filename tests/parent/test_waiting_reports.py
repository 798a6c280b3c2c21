"""Which report of an attempt waits, and how long: without a thread, a clock or a database."""

from collections.abc import Callable
from typing import Any

import pytest

from children.meta import Meta
from parent.worker.attempt.unstored_report import EARLY, LOOK_AGAIN, Read, WaitingReport


def report(iteration: int) -> Read:
    return lambda: (Meta.at(iteration, 9), None)


ONE, TWO, PROMISED = report(1), report(2), report(3)


def waiting(interval: float = 0.5) -> WaitingReport:
    return WaitingReport(100.0, interval)


@pytest.mark.parametrize(
    ("at", "interval", "urgent", "blocked", "pause"),
    [
        (100.0, 0.5, False, False, EARLY),
        (100.04, 0.5, False, False, 0.06),
        (100.1, 0.5, False, False, 0.0),
        (100.04, 0.05, False, False, 0.01),
        (100.0, 0.0, False, False, 0.0),
        (100.04, 0.5, True, False, 0.0),
        (100.04, 0.5, True, True, LOOK_AGAIN),
        (105.0, 0.5, False, True, LOOK_AGAIN),
        (5.0, 0.5, False, False, EARLY),  # a clock that goes back
    ],
)
def test_how_long_a_report_waits(
    at: float, interval: float, urgent: bool, blocked: bool, pause: float
) -> None:
    report = waiting(interval)
    report.put(ONE, urgent=urgent)

    assert report.pause(at, blocked=blocked) == pytest.approx(pause)


def test_what_is_logged_is_early_in_no_moment() -> None:
    assert waiting().pause(100.0, blocked=False) == 0.0


def test_in_a_forked_process_nothing_is_early() -> None:
    report = waiting()
    report.put(ONE)
    report.hurry()

    assert report.pause(100.0, blocked=False) == 0.0


Doing = Callable[[WaitingReport], Any]


def stored(meanwhile: Doing) -> Doing:
    """What waits is stored, and this happens between its begin and its end."""

    def store(report: WaitingReport) -> None:
        read = report.begin()
        meanwhile(report)
        if read is not None:
            report.done(read)

    return store


def put(read: Read, urgent: bool = False) -> Doing:
    return lambda report: report.put(read, urgent=urgent)


def promised(read: Read) -> Doing:
    return lambda report: report.promise(read)


def nothing(_: WaitingReport) -> None:
    pass


@pytest.mark.parametrize(
    ("done", "left"),
    [
        ([put(ONE), put(TWO)], TWO),
        ([put(ONE), promised(PROMISED)], PROMISED),
        ([promised(PROMISED), put(TWO)], PROMISED),
        ([put(ONE), stored(nothing)], None),
        ([put(ONE), stored(put(TWO))], TWO),
        ([put(ONE), stored(promised(PROMISED))], PROMISED),
        ([promised(PROMISED), stored(nothing)], None),
        ([promised(PROMISED), stored(put(TWO))], TWO),
        ([promised(PROMISED), stored(nothing), put(TWO)], TWO),
        ([stored(put(ONE))], ONE),
        ([put(ONE), WaitingReport.drop], None),
        ([put(ONE, urgent=True), put(TWO), WaitingReport.drop], TWO),
        ([put(ONE, urgent=True), stored(nothing), put(TWO), WaitingReport.drop], None),
    ],
)
def test_what_waits(done: list[Doing], left: Read | None) -> None:
    report = waiting()

    for step in done:
        step(report)

    assert report.newest is left
