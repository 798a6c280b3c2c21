"""Given a failed or cancelled run, a retry continues it."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from children.meta import Meta
from parent import Step as StepDefinition
from parent import Workflow
from parent.errors import CannotRetry, InvalidRetry, UnknownRun
from parent.models import Attempt, Event, Executor, Run, Step
from parent.runs.cancel import cancel
from parent.runs.endings import end_attempt, end_run
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.watch.tick import Ticker
from tests.flows import tasks, workflows

pytestmark = pytest.mark.django_db


@pytest.fixture
def failed() -> Run:
    """A diamond whose step `left` has failed, so that `bottom` was skipped."""
    run = start(workflows.diamond, {"a": 1})
    finish(run, "top", 1)
    finish(run, "right", 21)
    end_attempt(task_id(run, "left"), Meta().failed("bad"), "where")
    run.refresh_from_db()
    assert run.state == "FAILURE"
    return run


def step(run: Run, name: str) -> Step:
    return Step.objects.get(run=run, name=name)


def task_id(run: Run, name: str) -> str:
    return str(step(run, name).task_id)


def finish(run: Run, name: str, result: Any) -> None:
    assert end_attempt(task_id(run, name), Meta().ok(result))


def states(run: Run) -> dict[str, str]:
    run.refresh_from_db()
    assert TaskResult.objects.get(task_id=str(run.pk)).status == run.state
    return dict(run.steps.values_list("name", "state"))


def test_the_failed_step_runs_again_and_what_is_finished_is_kept(failed: Run) -> None:
    retry(failed.pk)

    assert states(failed) == {"top": "OK", "left": "QUEUED", "right": "OK", "bottom": "WAITING"}
    assert (failed.ended, failed.error, failed.finished_at) == (False, None, None)
    finish(failed, "left", 11)
    finish(failed, "bottom", 32)
    failed.refresh_from_db()
    assert (failed.state, failed.result) == ("SUCCESS", 32)
    assert set(states(failed).values()) == {"OK"}


def test_what_came_after_a_failure_runs_again_with_it_whichever_step_is_chosen(
    own_registry: None,
) -> None:
    def child(name: str, *after: str, **options: Any) -> StepDefinition:
        return StepDefinition(tasks.noop, name=name, after=after, **options)

    steps = [child("a"), child("clean_up", "a", when="always"), child("beside"), child("c", "a")]
    run = start(Workflow("chosen", steps=steps), {})
    finish(run, "beside", 1)
    end_attempt(task_id(run, "a"), Meta().failed("bad"), "where")
    finish(run, "clean_up", 2)
    run.refresh_from_db()
    assert run.state == "FAILURE"

    retry(run.pk, step="beside")

    assert states(run) == {
        "a": "QUEUED",
        "clean_up": "WAITING",
        "beside": "QUEUED",
        "c": "WAITING",
    }


def test_the_failure_stays_in_the_history(failed: Run) -> None:
    retry(failed.pk, who="ada")

    attempt = Attempt.objects.get()
    assert (attempt.step.name, attempt.number) == ("left", 1)
    assert (attempt.error, attempt.traceback) == ("bad", "where")
    event = Event.objects.get()
    assert (event.who, event.what, event.detail) == ("ada", "retry", {"from": ["left"]})


def test_an_outcome_of_the_old_attempt_does_not_count(failed: Run) -> None:
    old = task_id(failed, "left")
    retry(failed.pk)

    assert not end_attempt(old, Meta().ok("too late"))
    assert step(failed, "left").state == "QUEUED"


def test_a_step_and_all_that_depends_on_it_run_again(failed: Run) -> None:
    retry(failed.pk, step="right")

    # `left` has failed, so what depends on it cannot run.
    assert states(failed) == {
        "top": "OK", "left": "QUEUED", "right": "QUEUED", "bottom": "WAITING"
    }  # fmt: skip
    retried = step(failed, "right")
    assert (retried.result, retried.attempt, retried.retries_used) == (None, 2, 0)


def test_new_inputs_replace_the_old_ones(failed: Run) -> None:
    retry(failed.pk, inputs={"a": 5, "b": 6})

    assert step(failed, "left").kwargs == {"a": 5, "b": 6}
    assert Event.objects.get().detail["inputs"] == {"a": 5, "b": 6}


def test_inputs_that_do_not_fit_the_child_are_its_error(failed: Run) -> None:
    retry(failed.pk, inputs={"c": 5})

    assert states(failed)["left"] == "ERROR"
    assert failed.state == "FAILURE"
    assert "Error in the inputs of left" in str(failed.error)


def test_a_step_is_skipped_with_a_given_result(failed: Run) -> None:
    retry(failed.pk, step="left", skip=True, result=11)

    assert states(failed) == {"top": "OK", "left": "OK", "right": "OK", "bottom": "QUEUED"}
    assert step(failed, "bottom").kwargs == {"a": 11, "b": 21}


def test_skipping_the_last_step_ends_the_run(failed: Run) -> None:
    retry(failed.pk)
    finish(failed, "left", 11)
    end_attempt(task_id(failed, "bottom"), Meta().failed("bad"))

    retry(failed.pk, skip=True, result=32)

    failed.refresh_from_db()
    assert (failed.state, failed.result, failed.completion) == ("SUCCESS", 32, 100.0)
    assert set(states(failed).values()) == {"OK"}


def test_a_cancelled_run_continues_where_it_stopped() -> None:
    run = start(workflows.noops, {})
    finish(run, "first", None)
    cancel(run.pk)

    retry(run.pk)

    assert states(run) == {"first": "OK", "second": "QUEUED", "third": "WAITING"}
    assert run.cancel_requested_at is None
    cancel(run.pk)
    assert run.events.count() == 3


def test_the_deadline_is_counted_from_the_retry() -> None:
    run = start(workflows.whole_too_long, {"gate": "g"})
    Run.objects.update(created_at=Now() - timedelta(hours=1), deadline_at=Now())
    end_run(run.pk, "too long")

    retry(run.pk)

    run.refresh_from_db()
    event = Event.objects.get()
    assert run.deadline_at == run.due_at == event.at + timedelta(seconds=1)
    # The error names the time since the retry too.
    back = timedelta(seconds=2)
    Event.objects.update(at=event.at - back)
    Run.objects.update(deadline_at=F("deadline_at") - back, due_at=F("due_at") - back)
    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)
    while not ticker.tick():
        pass
    run.refresh_from_db()
    assert run.error == "whole_too_long did not finish within 1 s"


def test_a_run_that_has_not_failed_cannot_be_retried() -> None:
    run = start(workflows.noops, {})

    with pytest.raises(CannotRetry, match="PENDING"):
        retry(run.pk)
    with pytest.raises(UnknownRun):
        retry(uuid4())


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"step": "nowhere"}, "its steps are: top, left, right, bottom"),
        ({"step": "left", "inputs": {"a": {1, 2}}}, "set"),
        ({"step": "left", "skip": True, "result": float("nan")}, "the result is not JSON"),
    ],
)
def test_an_invalid_retry_is_refused_and_changes_nothing(
    failed: Run, asked: dict[str, Any], error: str
) -> None:
    before = states(failed)

    with pytest.raises(InvalidRetry, match=error):
        retry(failed.pk, **asked)

    assert states(failed) == before
    assert not Event.objects.exists()


def test_inputs_for_several_failed_steps_need_a_step(failed: Run) -> None:
    retry(failed.pk, step="right")
    for name in ("left", "right"):
        end_attempt(task_id(failed, name), Meta().failed("bad"))

    with pytest.raises(InvalidRetry, match="left, right"):
        retry(failed.pk, inputs={"a": 1, "b": 2})
