"""The verdict finds each kind of error."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from chaos.event_log import BodyEvent, EventKind
from chaos.verdict import (
    RunSeen,
    Silence,
    StepSeen,
    bodies_of,
    doubled,
    lost,
    out_of_order,
    slowest_recovery,
)

LEASE = 6.0
FIRST = StepSeen(name="first", state="OK", attempt="a1", result="a1", after=())
LAST = StepSeen(name="last", state="OK", attempt="b1", result="b1", after=("first",))
GOOD = RunSeen(id="run", state="SUCCESS", stored="SUCCESS", steps=(FIRST, LAST))


def event(step: str, attempt: str, kind: EventKind, at: float, *, worker: int = 1) -> BodyEvent:
    inputs = {"first": "a1"} if step == "last" else {}
    return BodyEvent(
        run="run", step=step, attempt=attempt, worker=worker, kind=kind, at=at, inputs=inputs
    )


EVENTS = (
    event("first", "a1", EventKind.STARTED, 1.0),
    event("first", "a1", EventKind.FINISHED, 2.0),
    event("last", "b1", EventKind.STARTED, 3.0),
    event("last", "b1", EventKind.FINISHED, 4.0),
)
# The worker of the first attempt was lost at 2.5, or was only stopped, and woke at 20.
ZOMBIE = (
    event("first", "a0", EventKind.STARTED, 1.0, worker=2),
    event("first", "a0", EventKind.RUNNING, 20.0, worker=2),
    event("first", "a1", EventKind.STARTED, 10.0),
    event("first", "a1", EventKind.FINISHED, 11.0),
    event("last", "b1", EventKind.STARTED, 12.0),
    event("last", "b1", EventKind.FINISHED, 13.0),
)


def findings(
    run: RunSeen, events: Sequence[BodyEvent], silences: Sequence[Silence] = ()
) -> tuple[int, int, int]:
    bodies = bodies_of(events)
    return (
        len(lost([run], bodies)),
        len(doubled([run], bodies, silences, LEASE)),
        len(out_of_order([run], bodies)),
    )


def test_a_good_run_has_nothing_wrong() -> None:
    assert findings(GOOD, EVENTS) == (0, 0, 0)


@pytest.mark.parametrize(
    "run",
    [
        replace(GOOD, state="PROGRESS", stored="PROGRESS"),
        replace(GOOD, stored="PROGRESS"),
        replace(GOOD, stored=None),
        replace(GOOD, steps=(FIRST, replace(LAST, state="RUNNING"))),
        replace(GOOD, steps=(FIRST, replace(LAST, state="SKIPPED"))),
        replace(
            GOOD,
            state="FAILURE",
            stored="FAILURE",
            steps=(FIRST, replace(LAST, state="ERROR", left=1)),
        ),
    ],
)
def test_a_run_or_step_without_its_end_is_lost(run: RunSeen) -> None:
    assert findings(run, EVENTS) == (1, 0, 0)


def test_a_step_that_is_ok_without_its_bodys_end_is_lost() -> None:
    assert findings(GOOD, EVENTS[:3]) == (1, 0, 0)


def test_a_step_that_used_up_its_retries_is_not_lost() -> None:
    run = replace(
        GOOD, state="FAILURE", stored="FAILURE", steps=(FIRST, replace(LAST, state="ERROR"))
    )

    assert findings(run, EVENTS[:3]) == (0, 0, 0)


def test_an_attempt_that_begins_twice_is_doubled() -> None:
    again = replace(EVENTS[2], at=3.5)

    assert findings(GOOD, [*EVENTS, again]) == (0, 1, 0)


def test_a_result_of_another_attempt_is_doubled() -> None:
    run = replace(GOOD, steps=(FIRST, replace(LAST, result="b0")))

    assert findings(run, EVENTS) == (0, 1, 0)


def test_a_body_that_was_given_another_result_is_doubled() -> None:
    events = [*EVENTS[:2], replace(EVENTS[2], inputs={"first": "a0"}), EVENTS[3]]

    assert findings(GOOD, events) == (0, 1, 0)


def test_two_bodies_of_a_step_at_work_at_once_are_doubled() -> None:
    assert findings(GOOD, ZOMBIE) == (0, 1, 0)


@pytest.mark.parametrize("worker", [2, None])
def test_a_body_whose_worker_was_silent_may_outlive_its_lease(worker: int | None) -> None:
    silence = Silence(worker=worker, begun=2.5, ended=20.0)

    assert findings(GOOD, ZOMBIE, [silence]) == (0, 0, 0)


@pytest.mark.parametrize(
    "silence",
    [Silence(worker=3, begun=2.5, ended=20.0), Silence(worker=2, begun=10.5, ended=20.0)],
    ids=["another worker", "too late"],
)
def test_another_silence_is_no_excuse(silence: Silence) -> None:
    assert findings(GOOD, ZOMBIE, [silence]) == (0, 1, 0)


def test_a_body_that_begins_before_the_end_it_waits_for_is_out_of_order() -> None:
    early = [*EVENTS[:2], replace(EVENTS[2], at=1.5), EVENTS[3]]

    assert findings(GOOD, early) == (0, 0, 1)


def test_the_slowest_recovery_is_from_the_last_sign_to_the_next_beginning() -> None:
    lost_attempt = [
        event("first", "a0", EventKind.STARTED, -8.0),
        event("first", "a0", EventKind.RUNNING, -7.5),
    ]
    bodies = bodies_of([*lost_attempt, *EVENTS])

    seconds, body = slowest_recovery([GOOD], bodies)

    assert (seconds, body and body.attempt) == (8.5, "a1")
    assert slowest_recovery([replace(GOOD, cancelled=True)], bodies) == (0.0, None)
