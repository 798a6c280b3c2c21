"""Steps that run after a failure, or always; and steps that may fail."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from django.db.models.functions import Now

from children.meta import Meta
from parent import RunData, Step, Workflow
from parent.definition.workflow import registry
from parent.inline import run_inline
from parent.messages import publish
from parent.models import Run
from parent.runs.cancel import cancel
from parent.runs.endings import end_attempt, end_run
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.store import run_rows
from parent.store.run_rows import FULL_READ_LIMIT
from parent.store.run_summaries import read_summaries
from tests.flows import tasks

pytestmark = pytest.mark.django_db

When = Literal["ok", "failed", "always"]


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_workflows", {})
    with publish.publishing_off():
        yield


@pytest.fixture(params=[FULL_READ_LIMIT, 0], ids=["all-read", "few-read"])
def _read_limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 0 each end reads only the steps that it concerns, as in a run of many steps."""
    monkeypatch.setattr(run_rows, "FULL_READ_LIMIT", request.param)


def good(name: str, when: When = "ok", after: str | None = None, **options: Any) -> Step:
    options.setdefault("inputs", lambda _: {"a": 1, "b": 2})
    names = None if after is None else after.split()
    return Step(tasks.add, name=name, when=when, after=names, **options)


def bad(name: str, when: When = "ok", after: str | None = None, **options: Any) -> Step:
    options.setdefault("inputs", lambda _: {"message": f"{name} is broken"})
    names = None if after is None else after.split()
    return Step(tasks.fails, name=name, when=when, after=names, **options)


def refuses(name: str, **options: Any) -> Step:
    """A step whose inputs raise."""
    return good(name, inputs=lambda run: {"a": run.results["none"]}, **options)


def states(run: Run) -> str:
    shown = []
    for name, state, unneeded in run.steps.values_list("name", "state", "unneeded"):
        shown.append(f"{name}:{'UNNEEDED' if unneeded else state}")
    return " ".join(shown)


UNDO = good("undo", "failed", after="a b")
TABLE = [
    (
        [good("a"), good("b"), UNDO, good("clean", "always")],
        "a:OK b:OK undo:UNNEEDED clean:OK",
        None,
    ),
    (
        [bad("a"), good("b"), UNDO, good("clean", "always")],
        "a:ERROR b:SKIPPED undo:OK clean:OK",
        "Error in a: a is broken",
    ),
    (
        [good("a"), bad("b"), UNDO, good("clean", "always")],
        "a:OK b:ERROR undo:OK clean:OK",
        "Error in b: b is broken",
    ),
    (
        [bad("a"), good("b"), bad("undo", "failed", after="a"), bad("clean", "always", after="b")],
        "a:ERROR b:SKIPPED undo:ERROR clean:ERROR",
        "Error in a: a is broken",
    ),
    # The first by time, whatever its place in the list.
    (
        [bad("clean", "always", after="a"), bad("a", after="")],
        "clean:ERROR a:ERROR",
        "Error in a: a is broken",
    ),
    ([good("a"), bad("clean", "always")], "a:OK clean:ERROR", "Error in clean: clean is broken"),
    ([good("a"), bad("tell", optional=True), good("b")], "a:OK tell:ERROR b:OK", None),
    ([bad("tell", optional=True)], "tell:ERROR", None),
    (
        [bad("tell", optional=True), good("say", "failed", after="tell"), good("b", after="tell")],
        "tell:ERROR say:OK b:OK",
        None,
    ),
    (
        [bad("a"), good("tell", optional=True), good("b")],
        "a:ERROR tell:SKIPPED b:SKIPPED",
        "Error in a: a is broken",
    ),
    # A fan-in: `undo` waits for all, and a failure of one is enough.
    (
        [bad("a", after=""), good("b", after=""), good("undo", "failed", after="a b")],
        "a:ERROR b:OK undo:OK",
        "Error in a: a is broken",
    ),
    # What comes after what was not needed is not needed either.
    (
        [good("a"), good("undo", "failed"), good("tell", after="undo"), good("more")],
        "a:OK undo:UNNEEDED tell:UNNEEDED more:UNNEEDED",
        None,
    ),
    (
        [bad("a"), good("undo", "failed"), good("tell", after="undo"), good("more")],
        "a:ERROR undo:OK tell:OK more:OK",
        "Error in a: a is broken",
    ),
    # Inputs that raise are a failure like others, at the start too.
    (
        [refuses("a"), good("undo", "failed"), refuses("clean", when="always")],
        "a:ERROR undo:OK clean:ERROR",
        "Error in the inputs of a: KeyError: 'none'",
    ),
    ([refuses("a", optional=True), good("b")], "a:ERROR b:OK", None),
]


@pytest.mark.usefixtures("_read_limit")
@pytest.mark.parametrize(("steps", "expected", "error"), TABLE)
def test_a_run_ends_as_its_steps_say(steps: list[Step], expected: str, error: str | None) -> None:
    run = run_inline(Workflow("ending", steps=steps))

    assert (states(run), run.error) == (expected, error)
    assert run.state == ("SUCCESS" if error is None else "FAILURE")
    assert (run.completion == 100) == (error is None)
    summary = read_summaries([run.pk])[run.pk]
    if error is None:  # nothing is left to do, as the database adds it up too
        assert summary.done == pytest.approx(100 * summary.weight)


def test_what_was_skipped_says_why() -> None:
    steps = [bad("a"), good("b"), good("c"), good("undo", "failed"), good("again", "failed")]
    run = run_inline(Workflow("ending", steps=steps))

    assert dict(run.steps.values_list("name", "message")) | {"a": "", "undo": ""} == {
        "a": "",
        "b": "skipped: a failed",
        "c": "skipped: b was skipped",
        "undo": "",
        "again": "skipped: nothing before it failed",
    }


@pytest.mark.parametrize(
    ("steps", "result"),
    [
        ([good("a"), good("b"), good("undo", "failed")], 3),
        ([good("a"), good("clean", "always", inputs=lambda _: {"a": 9, "b": 9})], 3),
        ([good("clean", "always")], 3),
        ([good("a"), bad("b", optional=True)], None),
    ],
)
def test_the_result_is_that_of_the_last_step_that_is_no_ending(
    steps: list[Step], result: int | None
) -> None:
    assert run_inline(Workflow("ending", steps=steps)).result == result


@pytest.mark.usefixtures("_read_limit")
def test_inputs_see_what_failed() -> None:
    seen: list[Any] = []

    def look(run: RunData) -> dict[str, int]:
        seen.append((dict(run.results), dict(run.errors)))
        return {"a": 1, "b": 2}

    steps = [good("x"), bad("a", optional=True), bad("b"), good("clean", "always", inputs=look)]
    run_inline(Workflow("ending", steps=steps))

    errors = {"a": "Error in a: a is broken", "b": "Error in b: b is broken"}
    assert seen == [({"x": 3}, errors)]


def begun(steps: list[Step], **options: Any) -> Run:
    return start(Workflow("ending", steps=steps, **options), {})


def end(run: Run, name: str, error: str | None = None) -> None:
    outcome = Meta().ok(name) if error is None else Meta().failed(error)
    assert end_attempt(str(run.steps.get(name=name).task_id), outcome)
    run.refresh_from_db()


def test_a_retry_runs_again_what_failed_and_what_came_after_it() -> None:
    run = begun([good("x"), bad("a"), good("undo", "failed"), good("clean", "always", "a undo")])
    end(run, "x")
    end(run, "a", "no")
    end(run, "undo")
    end(run, "clean")
    assert states(run) == "x:OK a:ERROR undo:OK clean:OK"

    retry(run.pk)
    assert states(run) == "x:OK a:QUEUED undo:WAITING clean:WAITING"
    end(run, "a")
    assert states(run) == "x:OK a:OK undo:UNNEEDED clean:QUEUED"
    end(run, "clean")
    assert run.state == "SUCCESS"


def test_a_retry_leaves_an_optional_failure_and_what_has_gone_on_without_it() -> None:
    run = begun([bad("tell", optional=True), good("b"), bad("c")])
    end(run, "tell", "no")
    end(run, "b")
    end(run, "c", "bad")

    retry(run.pk)
    assert states(run) == "tell:ERROR b:OK c:QUEUED"
    end(run, "c", "bad")

    retry(run.pk, step="tell")
    assert states(run) == "tell:QUEUED b:WAITING c:WAITING"


def test_a_cancel_ends_what_always_runs_too() -> None:
    run = begun([good("a"), good("clean", "always")])
    cancel(run.pk)
    run.refresh_from_db()

    assert states(run) == "a:CANCELLED clean:CANCELLED"
    assert (run.state, run.error) == ("REVOKED", "a was cancelled")


def test_a_run_that_was_cancelled_before_its_optional_step_is_revoked() -> None:
    run = begun([good("a"), good("tell", optional=True)])
    run.steps.filter(name="a").update(state="RUNNING")
    cancel(run.pk)
    end(run, "a")

    assert states(run) == "a:OK tell:CANCELLED"
    assert (run.state, run.error) == ("REVOKED", "tell was cancelled")


def test_the_limit_of_a_run_is_one_of_its_endings_too() -> None:
    run = begun([bad("a"), good("clean", "always"), good("more", "always")], timeout=60)
    end(run, "a", "no")
    run.steps.filter(name="clean").update(state="RUNNING", started_at=Now())
    end_run(run.pk, "ending did not finish within 60 s")
    run.refresh_from_db()

    assert states(run) == "a:ERROR clean:ERROR more:SKIPPED"
    assert run.error == "ending did not finish within 60 s"
