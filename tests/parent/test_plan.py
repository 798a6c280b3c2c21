"""Plans: what opens, what is skipped, when a run is over; and its meta."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from children.meta import ALMOST, Meta, Status
from parent.decisions.plan import Plan, plan
from parent.decisions.summary import run_meta, summarize
from parent.models import RunState, StepState

FINAL = {StepState.OK, StepState.ERROR, StepState.SKIPPED, StepState.CANCELLED}


@dataclass
class Row:
    """A step with the fields that a plan reads."""

    name: str
    state: str = StepState.WAITING
    after: Sequence[str] = field(default_factory=list)
    weight: float = 1.0
    iteration: int = 0
    total: int | None = None
    completion: float = 0.0
    message: str = ""
    error: str | None = None
    when: str = "ok"
    optional: bool = False
    unneeded: bool = False
    started_at: datetime | None = None
    reported_at: datetime | None = None
    finished_at: datetime | None = None
    unless: Sequence[str] | None = None
    awaits: str = ""
    fed_by: str = ""


def rows(text: str, after: dict[str, str]) -> list[Row]:
    """Steps from a text such as `a:OK b:WAITING`; `after` has the dependencies of each."""
    pairs = [word.split(":") for word in text.split()]
    return [Row(name, StepState[state], list(after.get(name, ""))) for name, state in pairs]


SEQUENCE = {"b": "a", "c": "b"}
DIAMOND = {"b": "a", "c": "a", "d": "bc"}


@pytest.mark.parametrize(
    ("text", "after", "opens", "skips", "final"),
    [
        ("a:WAITING b:WAITING c:WAITING", SEQUENCE, "a", "", None),
        ("a:QUEUED b:WAITING c:WAITING", SEQUENCE, "", "", None),
        ("a:RUNNING b:WAITING c:WAITING", SEQUENCE, "", "", None),
        ("a:OK b:WAITING c:WAITING", SEQUENCE, "b", "", None),
        ("a:OK b:OK c:RUNNING", SEQUENCE, "", "", None),
        ("a:OK b:OK c:OK", SEQUENCE, "", "", "SUCCESS"),
        ("a:ERROR b:WAITING c:WAITING", SEQUENCE, "", "bc", "FAILURE"),
        ("a:CANCELLED b:WAITING c:WAITING", SEQUENCE, "", "bc", "FAILURE"),
        ("a:OK b:OK c:ERROR", SEQUENCE, "", "", "FAILURE"),
        ("a:ERROR b:SKIPPED c:SKIPPED", SEQUENCE, "", "", "FAILURE"),
        ("c:WAITING b:WAITING a:ERROR", SEQUENCE, "", "cb", "FAILURE"),
        ("a:WAITING b:WAITING", {}, "ab", "", None),
        ("a:ERROR b:WAITING", {}, "b", "", None),
        ("a:ERROR b:RUNNING", {}, "", "", None),
        ("a:ERROR b:OK", {}, "", "", "FAILURE"),
        ("a:OK b:WAITING c:WAITING d:WAITING", DIAMOND, "bc", "", None),
        ("a:OK b:OK c:RUNNING d:WAITING", DIAMOND, "", "", None),
        ("a:OK b:OK c:OK d:WAITING", DIAMOND, "d", "", None),
        ("a:OK b:ERROR c:RUNNING d:WAITING", DIAMOND, "", "d", None),
        ("a:OK b:ERROR c:WAITING d:WAITING", DIAMOND, "c", "d", None),
        ("a:OK b:ERROR c:OK d:WAITING", DIAMOND, "", "d", "FAILURE"),
    ],
)
def test_what_follows_from_the_states_of_the_steps(
    text: str, after: dict[str, str], opens: str, skips: str, final: str | None
) -> None:
    assert plan(rows(text, after)) == Plan(
        open=tuple(opens), skip=tuple(skips), final=RunState[final] if final else None
    )


@st.composite
def graphs(draw: st.DrawFn) -> list[Row]:
    """Acyclic steps, declared in any order."""
    names = [f"s{index}" for index in range(draw(st.integers(1, 7)))]
    weights = st.floats(0.01, 100)
    steps = [
        Row(
            name,
            after=sorted(draw(st.sets(st.sampled_from(names[:index])))) if index else [],
            weight=draw(weights),
            when=draw(st.sampled_from(["ok", "ok", "failed", "always"])),
            optional=draw(st.booleans()),
        )
        for index, name in enumerate(names)
    ]
    return draw(st.permutations(steps))


def depends(steps: Sequence[Row], name: str, on: str) -> bool:
    """Whether `name` depends on `on`, directly or indirectly."""
    row = next(step for step in steps if step.name == name)
    return on in row.after or any(depends(steps, other, on) for other in row.after)


def apply(steps: Sequence[Row], todo: Plan) -> None:
    """Open and skip steps as planned."""
    by_name = {step.name: step for step in steps}
    for name in todo.skip:
        assert by_name[name].state == StepState.WAITING
        by_name[name].state = StepState.SKIPPED
        by_name[name].unneeded = name in todo.unneeded
    for name in todo.open:
        step = by_name[name]
        assert step.state == StepState.WAITING
        assert {by_name[other].state for other in step.after} <= FINAL
        step.state = StepState.QUEUED


def move(steps: Sequence[Row], data: st.DataObject) -> None:
    """One active step reports or ends."""
    step = data.draw(
        st.sampled_from([step for step in steps if step.state in ("QUEUED", "RUNNING")])
    )
    # OK first: Hypothesis shrinks to the first value, and with OK the walk ends.
    following = [StepState.OK, StepState.ERROR, StepState.CANCELLED, StepState.RUNNING]
    step.state = data.draw(st.sampled_from(following))
    # A child may also report less than before, for example in a second loop.
    step.completion = data.draw(st.floats(0, 100))
    if step.state == StepState.ERROR:
        step.error = f"Error in {step.name}: bad"


def plan_by_the_book(steps: Sequence[Row]) -> Plan:
    """The same as `plan`, by going over all steps until nothing changes."""
    states = {step.name: by_the_book(step) for step in steps}
    waiting = [step for step in steps if step.state == "WAITING"]
    for _ in steps:
        for step in waiting:
            before = {states[name] for name in step.after}
            bad = before & {"failed", "skipped"}
            over = not before & {"waiting", "active"}
            if step.when == "ok" and bad:
                states[step.name] = "skipped"
            elif over and (
                (step.when == "ok" and "unneeded" in before)
                or (step.when == "failed" and not before & {"failed", "skipped", "tolerated"})
            ):
                states[step.name] = "unneeded"
    opens = tuple(
        step.name
        for step in waiting
        if states[step.name] == "waiting"
        and not {states[name] for name in step.after} & {"waiting", "active"}
    )
    over = not opens and "active" not in states.values()
    failed = any(step.state in ("ERROR", "CANCELLED") and not step.optional for step in steps)
    final = RunState.FAILURE if failed else RunState.SUCCESS
    return Plan(
        open=opens,
        skip=tuple(s.name for s in waiting if states[s.name] in ("skipped", "unneeded")),
        unneeded=frozenset(s.name for s in waiting if states[s.name] == "unneeded"),
        final=final if over else None,
    )


def by_the_book(step: Row) -> str:
    match step.state:
        case "OK":
            return "ok"
        case "ERROR":
            return "tolerated" if step.optional else "failed"
        case "CANCELLED":
            return "failed"
        case "SKIPPED":
            return "unneeded" if step.unneeded else "skipped"
        case "WAITING":
            return "waiting"
    return "active"


@given(steps=graphs(), data=st.data())
@settings(deadline=None, max_examples=200)
def test_a_plan_equals_the_definition_for_any_states(steps: list[Row], data: st.DataObject) -> None:
    for step in steps:
        step.state = data.draw(st.sampled_from(StepState))
        step.unneeded = step.state == StepState.SKIPPED and data.draw(st.booleans())
    assert plan(steps) == plan_by_the_book(steps)


@given(steps=graphs(), data=st.data())
@settings(deadline=None, max_examples=200)
def test_a_plan_needs_only_the_step_that_ended_and_those_after_it(
    steps: list[Row], data: st.DataObject
) -> None:
    """With the steps that `store.run_rows` reads, in a run that was planned to its end before."""
    this = data.draw(st.sampled_from(steps))
    for step in steps:
        step.state = data.draw(st.sampled_from(["OK", "RUNNING"])) if step.after else "OK"
    for step in steps:
        if depends(steps, step.name, on=this.name):
            step.state = "WAITING"
    near = [step for step in steps if step is this or this.name in step.after]
    others = {step.name: None for step in steps if step.state != "OK"}

    part, whole = plan(near, others=others), plan(steps)
    if not part.skip:  # else the steps after those are read too
        assert part.open == whole.open
    assert {*part.skip} <= {*whole.skip}


@given(steps=graphs(), data=st.data())
@settings(deadline=None, max_examples=200)
def test_every_walk_ends_with_all_steps_final_and_completion_never_goes_back(
    steps: list[Row], data: st.DataObject
) -> None:
    meta = Meta(status=Status.PENDING)
    while True:
        todo = plan(steps)
        apply(steps, todo)
        before, meta = meta, run_meta(meta, summarize(steps), todo.final)
        assert meta.completion >= before.completion
        assert (meta.completion == 100) == (todo.final is RunState.SUCCESS)
        assert plan(steps).open == ()
        assert plan(steps).skip == ()
        if todo.final is not None:
            break
        move(steps, data)
    failed = [s for s in steps if s.state in (StepState.ERROR, StepState.CANCELLED)]
    assert {step.state for step in steps} <= FINAL
    for step in steps:
        if step.state == StepState.SKIPPED and not step.unneeded:
            assert any(depends(steps, step.name, on=other.name) for other in failed)
        if step.unneeded:
            assert step.when == "failed" or any(other.unneeded for other in steps)
        assert step.when != "always" or step.state != StepState.SKIPPED
    fails = [step for step in failed if not step.optional]
    assert (todo.final is RunState.SUCCESS) == (not fails)
    assert (meta.error is None) == (not fails)


def test_completion_is_by_weight() -> None:
    steps = [
        Row("a", StepState.OK, weight=1),
        Row("b", StepState.RUNNING, weight=3, completion=50, iteration=5, total=10),
        Row("c", weight=4),
    ]
    assert run_meta(Meta(), summarize(steps)).completion == pytest.approx(100 * (1 + 1.5) / 8)


def test_a_step_that_is_ok_counts_in_full_whatever_it_reported_last() -> None:
    steps = [Row("a", StepState.OK, completion=70), Row("b", StepState.QUEUED)]
    assert run_meta(Meta(), summarize(steps)).completion == 50


def test_completion_does_not_go_back() -> None:
    steps = [Row("a", StepState.RUNNING, completion=20)]
    assert run_meta(Meta(completion=45), summarize(steps)).completion == 45


@pytest.mark.parametrize(
    ("final", "completion"), [(None, ALMOST), (RunState.FAILURE, ALMOST), (RunState.SUCCESS, 100)]
)
def test_only_a_good_end_is_100(final: RunState | None, completion: float) -> None:
    steps = [Row("a", StepState.RUNNING, completion=100)]
    assert run_meta(Meta(), summarize(steps), final).completion == completion


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([Row("a", "WAITING")], {"iteration": 0, "total": None, "message": "a"}),
        ([Row("a", "QUEUED")], {"message": "a"}),
        (
            [Row("a", "RUNNING", iteration=3, total=10)],
            {"iteration": 3, "total": 10, "message": "a: 3 of 10"},
        ),
        (
            [Row("a", "RUNNING", iteration=3, total=10, message="reading")],
            {"iteration": 3, "message": "a: reading"},
        ),
        (
            [Row("a", "RUNNING", iteration=3)],
            {"iteration": 3, "total": None, "message": "a: 3 done"},
        ),
        (
            [Row("a", "OK", message="read"), Row("b", "RUNNING", message="writing")],
            {"message": "b: writing"},
        ),
        (
            [Row("a", "RUNNING", message="reading"), Row("b", "RUNNING", message="writing")],
            {"message": "a: reading"},
        ),
        ([Row("a", "QUEUED"), Row("b", "RUNNING", message="writing")], {"message": "b: writing"}),
        ([Row("a", "ERROR", message="reading"), Row("b", "QUEUED")], {"message": "a: reading"}),
        ([Row("a", "OK", message="read"), Row("b", "QUEUED")], {"message": "b"}),
        (
            [Row("a", "OK", message="read"), Row("b", "OK", message="written")],
            {"message": "b: written"},
        ),
    ],
)
def test_a_run_shows_the_step_that_matters_now(steps: list[Row], expected: dict[str, Any]) -> None:
    meta = run_meta(Meta(), summarize(steps))
    assert {name: getattr(meta, name) for name in expected} == expected
    assert (meta.status, meta.error) == (Status.PROGRESS, None)


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        (
            [Row("a", "OK"), Row("b", "ERROR", error="Error in b: bad"), Row("c", "SKIPPED")],
            "Error in b: bad",
        ),
        (
            [
                Row("a", "ERROR", error="Error in a: one"),
                Row("b", "ERROR", error="Error in b: two"),
            ],
            "Error in a: one",
        ),
        ([Row("a", "OK"), Row("b", "CANCELLED"), Row("c", "SKIPPED")], "b was cancelled"),
    ],
)
def test_a_failed_run_has_the_error_of_its_first_failed_step(steps: list[Row], error: str) -> None:
    meta = run_meta(Meta(completion=40), summarize(steps), RunState.FAILURE)
    assert (meta.status, meta.error) == (Status.ERROR, error)
    assert 40 <= meta.completion < 100
