"""The verdict on a storm: it must see what it is there to see."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from chaos.marks import Mark, What
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


def mark(step: str, attempt: str, what: What, at: float, *, worker: int = 1) -> Mark:
    given = {"first": "a1"} if step == "last" else {}
    return Mark(run="run", step=step, attempt=attempt, worker=worker, what=what, at=at, given=given)


MARKS = (
    mark("first", "a1", What.BEGINS, 1.0),
    mark("first", "a1", What.ENDS, 2.0),
    mark("last", "b1", What.BEGINS, 3.0),
    mark("last", "b1", What.ENDS, 4.0),
)
# The worker of the first attempt was lost at 2.5, or was only stopped, and woke at 20.
ZOMBIE = (
    mark("first", "a0", What.BEGINS, 1.0, worker=2),
    mark("first", "a0", What.GOES_ON, 20.0, worker=2),
    mark("first", "a1", What.BEGINS, 10.0),
    mark("first", "a1", What.ENDS, 11.0),
    mark("last", "b1", What.BEGINS, 12.0),
    mark("last", "b1", What.ENDS, 13.0),
)


def findings(
    run: RunSeen, marks: Sequence[Mark], silences: Sequence[Silence] = ()
) -> tuple[int, int, int]:
    bodies = bodies_of(marks)
    return (
        len(lost([run], bodies)),
        len(doubled([run], bodies, silences, LEASE)),
        len(out_of_order([run], bodies)),
    )


def test_a_good_run_has_nothing_wrong() -> None:
    assert findings(GOOD, MARKS) == (0, 0, 0)


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
    assert findings(run, MARKS) == (1, 0, 0)


def test_a_step_that_is_ok_without_its_bodys_end_is_lost() -> None:
    assert findings(GOOD, MARKS[:3]) == (1, 0, 0)


def test_a_step_that_used_up_its_retries_is_not_lost() -> None:
    run = replace(
        GOOD, state="FAILURE", stored="FAILURE", steps=(FIRST, replace(LAST, state="ERROR"))
    )

    assert findings(run, MARKS[:3]) == (0, 0, 0)


def test_an_attempt_that_begins_twice_is_doubled() -> None:
    again = replace(MARKS[2], at=3.5)

    assert findings(GOOD, [*MARKS, again]) == (0, 1, 0)


def test_a_result_of_another_attempt_is_doubled() -> None:
    run = replace(GOOD, steps=(FIRST, replace(LAST, result="b0")))

    assert findings(run, MARKS) == (0, 1, 0)


def test_a_body_that_was_given_another_result_is_doubled() -> None:
    marks = [*MARKS[:2], replace(MARKS[2], given={"first": "a0"}), MARKS[3]]

    assert findings(GOOD, marks) == (0, 1, 0)


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
    early = [*MARKS[:2], replace(MARKS[2], at=1.5), MARKS[3]]

    assert findings(GOOD, early) == (0, 0, 1)


def test_the_slowest_recovery_is_from_the_last_sign_to_the_next_beginning() -> None:
    marks = [mark("first", "a0", What.BEGINS, -8.0), mark("first", "a0", What.GOES_ON, -7.5)]
    bodies = bodies_of([*marks, *MARKS])

    seconds, body = slowest_recovery([GOOD], bodies)

    assert (seconds, body and body.attempt) == (8.5, "a1")
    assert slowest_recovery([replace(GOOD, cancelled=True)], bodies) == (0.0, None)
