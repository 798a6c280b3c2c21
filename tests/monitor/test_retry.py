"""Retrying a failed run: which steps run again, with which inputs, and what is kept."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from parent.models import Attempt, Event, Run
from parent.runs.cancel import cancel
from parent.runs.user_retry.retry import retry
from tests.flows import workflows
from tests.monitor.runs import claimed, fail, finish, result_of, states, step

Api = Callable[[User | None], APIClient]


@pytest.fixture
def failed(owner: User) -> Run:
    """A run of `sums`: its first step returned 6, its second failed."""
    run = workflows.sums.start(owner=owner, a=5)
    finish(run, "one", 6)
    fail(run, "two")
    return run


def test_a_retry_keeps_what_is_ok_and_runs_the_rest_under_the_same_id(
    owner: User, api: Api, failed: Run
) -> None:
    first_try = step(failed, "two").task_id

    response = api(owner).post(f"/tasks/{failed.pk}/retry/")

    told = response.json()
    assert response.status_code == 202
    assert (told["task_id"], told["state"], told["error"]) == (str(failed.pk), "PROGRESS", None)
    assert [row["state"] for row in told["steps"]] == ["SUCCESS", "PENDING", "PENDING"]
    assert (step(failed, "one").result, step(failed, "one").attempt) == (6, 1)
    again = step(failed, "two")
    assert (again.attempt, again.kwargs) == (2, {"a": 6, "b": 1})
    assert again.task_id != first_try

    finish(failed, "two", 7)
    finish(failed, "three", 14)
    assert result_of(failed.pk).state == "SUCCESS"
    assert result_of(failed.pk).get() == 14


def test_the_record_of_the_failed_attempt_is_kept(failed: Run) -> None:
    before = step(failed, "two")

    retry(failed.pk)

    kept = Attempt.objects.get()
    assert (kept.step, kept.number, kept.task_id) == (before, 1, before.task_id)
    assert (kept.error, kept.started_at) == (before.error, before.started_at)


def test_a_cancelled_run_can_be_retried(owner: User, api: Api) -> None:
    run = workflows.sums.start(owner=owner, a=5)
    finish(run, "one", 6)
    cancel(run.pk)

    assert api(owner).post(f"/tasks/{run.pk}/retry/").json()["state"] == "PROGRESS"

    finish(run, "two", 7)
    finish(run, "three", 14)
    assert result_of(run.pk).get() == 14


def test_a_run_that_was_cancelled_before_it_began_begins(owner: User, api: Api) -> None:
    run = workflows.noops.start(owner=owner)
    cancel(run.pk)

    told = api(owner).post(f"/tasks/{run.pk}/retry/").json()

    assert told["started_at"] is not None
    for name in ("first", "second", "third"):
        finish(run, name)
    assert result_of(run.pk).state == "SUCCESS"


def test_a_step_is_given_new_inputs(owner: User, api: Api, failed: Run) -> None:
    body = {"inputs": {"a": 100, "b": 1}}

    api(owner).post(f"/tasks/{failed.pk}/retry/", body, format="json")

    assert step(failed, "two").kwargs == {"a": 100, "b": 1}


def test_from_an_earlier_step_on_all_that_follows_runs_again(
    owner: User, api: Api, failed: Run
) -> None:
    api(owner).post(f"/tasks/{failed.pk}/retry/", {"step": "one"}, format="json")

    assert states(failed) == ["QUEUED", "WAITING", "WAITING"]
    assert (step(failed, "one").attempt, step(failed, "one").result) == (2, None)


def test_a_skipped_step_gives_the_result_that_it_was_given(
    owner: User, api: Api, failed: Run
) -> None:
    body = {"step": "two", "skip": True, "result": 50}

    api(owner).post(f"/tasks/{failed.pk}/retry/", body, format="json")

    assert states(failed) == ["OK", "OK", "QUEUED"]
    assert step(failed, "three").kwargs == {"a": 50}
    finish(failed, "three", 100)
    assert result_of(failed.pk).get() == 100


def test_skipping_the_last_step_ends_the_run(owner: User, api: Api) -> None:
    run = workflows.renamed.start(owner=owner)
    fail(run, "shipping")

    told = api(owner).post(f"/tasks/{run.pk}/retry/", {"skip": True}, format="json").json()

    assert (told["state"], told["completion"], told["result"]) == ("SUCCESS", 100.0, None)
    assert result_of(run.pk).state == "SUCCESS"


def test_the_history_says_who_retried_when_and_how(owner: User, api: Api, failed: Run) -> None:
    body = {"step": "two", "skip": True, "result": {"n": 1}}

    api(owner).post(f"/tasks/{failed.pk}/retry/", body, format="json")

    event = Event.objects.get(run=failed)
    assert (event.who, event.what) == ("ann", "retry")
    assert event.detail == {"from": ["two"], "skip": True, "result": {"n": 1}}
    assert event.at == step(failed, "two").finished_at


@pytest.mark.parametrize(
    ("body", "field", "told"),
    [
        ({"step": "four"}, "non_field_errors", "its steps are: one, two, three."),
        ({"step": ""}, "step", "may not be blank"),
        ({"inputs": [1]}, "inputs", "Send an object"),
        ({"inputs": None}, "inputs", "may not be null"),
        ({"inputs": {"a": "\0"}}, "inputs", "has a NUL"),
        ({"skip": "perhaps"}, "skip", "Must be a valid boolean."),
        ({"skip": True, "inputs": {"a": 1}}, "inputs", "is skipped takes none"),
        ({"result": 5}, "result", "send skip as true"),
        ({"steps": "one"}, "steps", "it takes step, item, inputs, skip, result"),
        ([1], "non_field_errors", "Expected a dictionary"),
        ("text", "non_field_errors", "Expected a dictionary"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(
    owner: User, api: Api, failed: Run, body: Any, field: str, told: str
) -> None:
    response = api(owner).post(f"/tasks/{failed.pk}/retry/", body, format="json")

    assert response.status_code == 400
    assert list(response.json()["errors"]) == [field]
    assert told in response.json()["errors"][field][0]
    failed.refresh_from_db()
    assert failed.state == "FAILURE"
    assert not Event.objects.exists()


def test_inputs_without_a_step_need_one_step_that_failed(owner: User, api: Api) -> None:
    run = workflows.noops.start(owner=owner)
    cancel(run.pk)

    response = api(owner).post(f"/tasks/{run.pk}/retry/", {"inputs": {}}, format="json")

    assert response.status_code == 400
    assert response.json()["errors"]["non_field_errors"] == [
        "Say which step is meant: first, second, third."
    ]


def test_a_run_that_runs_or_is_done_is_not_retried(owner: User, api: Api) -> None:
    run, client = workflows.renamed.start(owner=owner), api(owner)
    claimed(run, "shipping")

    running = client.post(f"/tasks/{run.pk}/retry/")
    run.steps.update(state="OK")
    Run.objects.filter(pk=run.pk).update(state="SUCCESS", finished_at=run.created_at)
    done = client.post(f"/tasks/{run.pk}/retry/")

    assert (running.status_code, done.status_code) == (409, 409)
    assert "Only a failed or cancelled run can be retried" in done.json()["detail"]
