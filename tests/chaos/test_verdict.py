"""The verdict finds each kind of error."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from chaos.event_log import BodyEvent, EventKind
from chaos.evidence import RunSeen, Silence, StepSeen, bodies_of
from chaos.verdict import (
    doubled,
    lost,
    out_of_order,
    slowest_recovery,
)

LEASE = 6.0
FIRST = StepSeen(name="first", state="OK", attempt="a1", result="a1", after=())
LAST = StepSeen(name="last", state="OK", attempt="b1", result="b1", after=("first",))
ITEMS = tuple(
    StepSeen(name=f"each[{n}]", state="OK", attempt=f"i{n}", result=f"i{n}", after=("first",))
    for n in range(3)
)
EACH = StepSeen(
    name="each",
    state="OK",
    attempt="e1",
    result=["i0", "i1", "i2"],
    after=("first",),
    counters={"total": 3, "ok": 3, "failed": 0},
    items=ITEMS,
)
MERGE = StepSeen(name="merge", state="OK", attempt="m1", result="m1", after=("each",))
CLEAN_UP = StepSeen(
    name="clean_up", state="OK", attempt="c1", result="c1", after=("each",), when="always"
)
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


@pytest.mark.parametrize(
    ("keys", "shift", "problems"),
    [
        pytest.param(("a", "a"), 0.5, 1, id="beside each other"),
        pytest.param(("a", "a"), 5.0, 0, id="one after the other"),
        pytest.param(("a", "b"), 0.5, 0, id="with other keys"),
        pytest.param((None, None), 0.5, 0, id="without a key"),
    ],
)
def test_runs_with_one_key_that_go_on_at_once_are_doubled(
    keys: tuple[str | None, str | None], shift: float, problems: int
) -> None:
    one, other = (
        replace(
            GOOD, id=f"run-{n}", key=key, steps=(replace(FIRST, attempt=f"a{n}", result=f"a{n}"),)
        )
        for n, key in enumerate(keys)
    )
    events = [
        replace(each, run=f"run-{n}", attempt=f"a{n}", at=each.at + n * shift)
        for n in range(2)
        for each in EVENTS[:2]
    ]

    assert len(doubled([one, other], bodies_of(events), [], LEASE)) == problems


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


INPUTS = {"merge": {"each": ["i0", "i1", "i2"]}, "clean_up": {"each": ["i0", "i1", "i2"]}}
MAPPED = RunSeen(id="run", state="SUCCESS", stored="SUCCESS", steps=(FIRST, EACH, MERGE, CLEAN_UP))
MAPPED_EVENTS = (
    *EVENTS[:2],
    *(
        replace(event(step, attempt, kind, at), inputs=INPUTS.get(step, {"first": "a1"}))
        for step, attempt, at in (
            *((item.name, f"i{n}", 3.0 + n) for n, item in enumerate(ITEMS)),
            ("merge", "m1", 7.0),
            ("clean_up", "c1", 7.0),
        )
        for kind, at in ((EventKind.STARTED, at), (EventKind.FINISHED, at + 0.5))
    ),
)


def with_each(run_state: str = "SUCCESS", **changes: Any) -> RunSeen:
    each = replace(EACH, **changes)
    return replace(MAPPED, state=run_state, stored=run_state, steps=(FIRST, each, MERGE, CLEAN_UP))


def with_item(number: int, **changes: Any) -> tuple[StepSeen, ...]:
    return tuple(replace(item, **changes) if n == number else item for n, item in enumerate(ITEMS))


ONE_FAILED = {"total": 3, "ok": 2, "failed": 1}
NOT_OPENED = {"total": 3, "ok": 2, "skipped": 1}
ONE_RUNS = {"total": 3, "ok": 2, "running": 1}


def test_a_good_run_with_a_mapped_step_has_nothing_wrong() -> None:
    assert findings(MAPPED, MAPPED_EVENTS) == (0, 0, 0)


@pytest.mark.parametrize(
    ("run", "problems"),
    [
        pytest.param(with_each(counters=ONE_FAILED), 1, id="counters"),
        pytest.param(with_each(counters={"total": 4, "ok": 3}), 1, id="total"),
        pytest.param(
            with_each(counters={"total": 2, "ok": 2}, items=ITEMS[::2]), 1, id="no second item"
        ),
        pytest.param(
            with_each(counters=ONE_FAILED, items=with_item(1, state="ERROR", left=1)),
            1,
            id="given up",
        ),
        pytest.param(
            with_each(counters=NOT_OPENED, items=with_item(1, state="SKIPPED")), 1, id="skipped"
        ),
        # Nor do such a state and its name count.
        pytest.param(
            with_each(counters=ONE_RUNS, items=with_item(1, state="RUNNING")), 2, id="running"
        ),
        pytest.param(with_each(items=with_item(1, attempt="i9", result="i9")), 1, id="no body"),
        pytest.param(with_each("FAILURE", state="ERROR"), 1, id="an error without a failed item"),
        pytest.param(
            replace(
                MAPPED,
                state="FAILURE",
                stored="FAILURE",
                steps=(
                    FIRST,
                    EACH,
                    replace(MERGE, state="ERROR"),
                    replace(CLEAN_UP, state="SKIPPED"),
                ),
            ),
            1,
            id="an always step that was skipped",
        ),
    ],
)
def test_items_without_their_end_are_lost(run: RunSeen, problems: int) -> None:
    assert len(lost([run], bodies_of(MAPPED_EVENTS))) == problems


def test_an_item_that_is_broken_is_not_lost() -> None:
    run = with_each(counters=ONE_FAILED, items=with_item(1, state="ERROR", left=1))
    events = [
        replace(e, kind=EventKind.BROKEN)
        if (e.attempt, e.kind) == ("i1", EventKind.FINISHED)
        else e
        for e in MAPPED_EVENTS
    ]

    assert lost([run], bodies_of(events)) == []


def test_results_in_another_order_are_doubled() -> None:
    run = with_each(result=["i0", "i2", "i1"])

    assert findings(run, MAPPED_EVENTS)[1] == 2  # of the two steps that got them


def test_an_item_that_begins_twice_is_doubled() -> None:
    again = next(replace(e, at=3.4) for e in MAPPED_EVENTS if e.attempt == "i0")

    assert findings(MAPPED, [*MAPPED_EVENTS, again]) == (0, 1, 0)


@pytest.mark.parametrize("step", ["merge", "clean_up"])
def test_a_step_that_begins_before_the_end_of_an_item_is_out_of_order(step: str) -> None:
    events = [
        replace(e, at=4.9) if (e.step, e.kind) == (step, EventKind.STARTED) else e
        for e in MAPPED_EVENTS
    ]

    assert findings(MAPPED, events) == (0, 0, 1)


INNER = RunSeen(
    id="inner-run",
    state="SUCCESS",
    stored="SUCCESS",
    parent="run",
    steps=(StepSeen(name="begin", state="OK", attempt="n1", result="n1", after=()),),
)
NESTED = StepSeen(
    name="inner", state="OK", attempt="r1", result="n1", after=(), nested=True, child=INNER
)
WORD = StepSeen(
    name="word", state="OK", attempt="w1", result="yes", after=(), awaits="signal", given={"yes"}
)
AFTER_BOTH = StepSeen(name="both", state="OK", attempt="z1", result="z1", after=("inner", "word"))
NESTED_EVENTS = (
    replace(event("begin", "n1", EventKind.STARTED, 1.0), run="inner-run"),
    replace(event("begin", "n1", EventKind.FINISHED, 2.0), run="inner-run"),
    replace(event("both", "z1", EventKind.STARTED, 3.0), inputs={"inner": "n1", "word": "yes"}),
    event("both", "z1", EventKind.FINISHED, 4.0),
)


def with_nested(
    step: StepSeen = NESTED, word: StepSeen = WORD, state: str = "SUCCESS", **changes: Any
) -> list[RunSeen]:
    steps = (step, word, AFTER_BOTH)
    outer = RunSeen(id="run", state=state, stored=state, steps=steps, **changes)
    return [outer, INNER]


def nested_findings(
    runs: Sequence[RunSeen], events: Sequence[BodyEvent] = NESTED_EVENTS
) -> tuple[int, int, int]:
    bodies = bodies_of(events)
    found = lost(runs, bodies), doubled(runs, bodies, [], LEASE), out_of_order(runs, bodies)
    return len(found[0]), len(found[1]), len(found[2])


def test_a_good_run_with_a_child_run_and_a_signal_has_nothing_wrong() -> None:
    assert nested_findings(with_nested()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (with_nested(replace(NESTED, child=None)), (1, 0, 0)),
        (with_nested(replace(NESTED, child=replace(INNER, state="PROGRESS"))), (1, 0, 0)),
        (with_nested(replace(NESTED, child=replace(INNER, state="FAILURE"))), (1, 0, 0)),
        (with_nested(replace(NESTED, state="ERROR"), state="FAILURE"), (1, 1, 1)),
        (with_nested(replace(NESTED, result="another")), (1, 1, 0)),
        (with_nested(word=replace(WORD, given=())), (1, 0, 0)),
        (with_nested(word=replace(WORD, given={"no"})), (1, 0, 0)),
        (with_nested(word=replace(WORD, given={"yes", "no"})), (0, 1, 0)),
        (with_nested(word=replace(WORD, given={"yes", "no"}), cancelled=True), (0, 1, 0)),
        (
            with_nested(word=replace(WORD, given={"yes", "no"}, awaits="approval"), cancelled=True),
            (0, 0, 0),
        ),
        (with_nested(word=replace(WORD, state="SKIPPED"), state="FAILURE"), (1, 1, 1)),
        ([*with_nested(), replace(INNER, id="second")], (0, 1, 0)),
        ([*with_nested(), replace(INNER, id="second", cancelled=True)], (0, 0, 0)),
    ],
)
def test_what_is_wrong_with_a_child_run_or_a_signal_is_found(
    runs: Sequence[RunSeen], expected: tuple[int, int, int]
) -> None:
    assert nested_findings(runs) == expected


def fed(told: Sequence[str], *keys: str, count: str = "2") -> list[RunSeen]:
    """A run with an item for each of these keys, whose users were told that it has taken others."""
    items = tuple(
        StepSeen(name=f"each[{key}]", state="OK", attempt=key, result=key, after=(), key=key)
        for key in keys
    )
    counters = {"total": len(items), "ok": len(items)}
    page = replace(WORD, name="page", result=count, given={str(len(told))})
    each = replace(EACH, after=(), result=list(keys), items=items, counters=counters)
    each = replace(each, fed_by="page", given=told)
    return [RunSeen(id="run", state="SUCCESS", stored="SUCCESS", steps=(page, each))]


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (fed(["7", "8"], "8", "7"), (0, 0, 0)),
        (fed(["7", "8"], "7"), (1, 0, 0)),
        (fed(["7", "8"], "7", "8", "8"), (0, 1, 0)),
        (fed(["7", "8"], "7", "8", "9"), (0, 1, 0)),
        (fed(["7", "8"], "7", "8", count="3"), (1, 0, 0)),
    ],
)
def test_each_item_that_was_given_by_a_signal_is_there_once(
    runs: Sequence[RunSeen], expected: tuple[int, int, int]
) -> None:
    events = [
        event(f"each[{key}]", key, kind, at)
        for key in "789"
        for kind, at in ((EventKind.STARTED, 1.0), (EventKind.FINISHED, 2.0))
    ]
    assert nested_findings(runs, events) == expected


def test_a_step_that_begins_before_the_end_of_a_child_run_is_out_of_order() -> None:
    early = replace(NESTED_EVENTS[1], at=3.5)
    events = [NESTED_EVENTS[0], early, *NESTED_EVENTS[2:]]
    assert nested_findings(with_nested(), events) == (0, 0, 1)


OTHER_INNER = RunSeen(
    id="other-run",
    state="SUCCESS",
    stored="SUCCESS",
    parent="run",
    steps=(StepSeen(name="begin", state="OK", attempt="o1", result="o1", after=()),),
)
RUNS = tuple(
    StepSeen(
        name=f"each[{index}]",
        state="OK",
        attempt=f"i{index}",
        result=child.steps[-1].result,
        after=(),
        nested=True,
        child=child,
    )
    for index, child in enumerate((INNER, OTHER_INNER))
)
EACH_RUN = StepSeen(
    name="each",
    state="OK",
    attempt="e1",
    result=["n1", "o1"],
    after=(),
    counters={"total": 2, "ok": 2},
    items=RUNS,
    nested=True,
)
MERGE_RUNS = StepSeen(name="merge", state="OK", attempt="m1", result="m1", after=("each",))
RUNS_EVENTS = (
    *NESTED_EVENTS[:2],
    replace(event("begin", "o1", EventKind.STARTED, 1.0), run="other-run"),
    replace(event("begin", "o1", EventKind.FINISHED, 2.0), run="other-run"),
    replace(event("merge", "m1", EventKind.STARTED, 3.0), inputs={"each": ["n1", "o1"]}),
    event("merge", "m1", EventKind.FINISHED, 4.0),
)


def with_runs(*more: RunSeen, items: Sequence[StepSeen] = RUNS, **changes: Any) -> list[RunSeen]:
    each = replace(EACH_RUN, items=items, **changes)
    outer = RunSeen(id="run", state="SUCCESS", stored="SUCCESS", steps=(each, MERGE_RUNS))
    return [outer, INNER, OTHER_INNER, *more]


def test_a_good_run_whose_items_are_runs_has_nothing_wrong() -> None:
    assert nested_findings(with_runs(), RUNS_EVENTS) == (0, 0, 0)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (with_runs(items=[RUNS[0], replace(RUNS[1], child=None)]), (1, 0, 0)),
        (
            with_runs(items=[RUNS[0], replace(RUNS[1], child=replace(INNER, state="PROGRESS"))]),
            (1, 0, 0),
        ),
        (with_runs(items=[RUNS[0], replace(RUNS[1], result="another")]), (1, 0, 0)),
        (with_runs(items=RUNS[:1]), (1, 1, 0)),
        (with_runs(counters={"total": 2, "ok": 1}), (1, 0, 0)),
        (with_runs(replace(INNER, id="third")), (0, 1, 0)),
        (with_runs(replace(INNER, id="third", cancelled=True)), (0, 0, 0)),
    ],
)
def test_what_is_wrong_with_items_that_are_runs_is_found(
    runs: Sequence[RunSeen], expected: tuple[int, int, int]
) -> None:
    assert nested_findings(runs, RUNS_EVENTS) == expected


def test_a_step_that_begins_before_the_end_of_an_items_run_is_out_of_order() -> None:
    early = replace(RUNS_EVENTS[3], at=3.5)
    events = [*RUNS_EVENTS[:3], early, *RUNS_EVENTS[4:]]
    assert nested_findings(with_runs(), events) == (0, 0, 1)


def test_a_step_that_always_follows_may_follow_items_that_failed() -> None:
    items = with_item(1, state="ERROR")
    each = replace(EACH, state="ERROR", counters=ONE_FAILED, items=items, result=["i0", "i2"])
    merge = replace(MERGE, state="SKIPPED", attempt=None)
    run = replace(MAPPED, state="FAILURE", stored="FAILURE", steps=(FIRST, each, merge, CLEAN_UP))
    events = [
        replace(e, inputs={"each": ["i0", "i2"]}) if e.step == "clean_up" else e
        for e in MAPPED_EVENTS
        if e.step != "merge"
    ]

    assert findings(run, events) == (0, 0, 0)


@pytest.mark.parametrize(
    ("ends", "notifications", "is_lost", "is_doubled"),
    [(1, 1, False, False), (2, 2, False, False), (2, 1, True, False), (1, 2, False, True)],
)
def test_each_end_has_one_notification(
    ends: int, notifications: int, is_lost: bool, is_doubled: bool
) -> None:
    run = replace(GOOD, ends=ends, notifications=notifications)
    bodies = bodies_of(EVENTS)

    assert bool(lost([run], bodies)) is is_lost
    assert bool(doubled([run], bodies, [], LEASE)) is is_doubled
