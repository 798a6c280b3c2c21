"""The JSON of celery-progress, for runs, children and any other task."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app, states
from celery.result import AsyncResult, GroupResult
from celery_progress.backend import Progress  # type: ignore[import-untyped]
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_results.models import TaskResult
from rest_framework.test import APIClient

from monitor.celery_progress.answers import of_group, of_stored
from parent.models import Item, Run, Step
from tests.monitor.conftest import MakeRun

DONE = {"pending": False, "current": 100, "total": 100, "percent": 100}


@pytest.fixture
def ask(api: Any, owner: User) -> Any:
    """A function that asks for a task as its owner, or as another user."""

    def ask_for(task_id: object, user: User | None = owner, name: str = "task_status") -> Any:
        client: APIClient = api(user)
        return client.get(reverse(f"celery_progress:{name}", args=[str(task_id)]))

    return ask_for


def store(state: str, result: Any, traceback: str | None = None) -> str:
    """Store a task's state as Celery does; returns its id."""
    task_id = str(uuid4())
    current_app.backend.store_result(task_id, result, state)
    # Without a request the backend does not store it.
    TaskResult.objects.filter(task_id=task_id).update(traceback=traceback)
    return task_id


def progress(current: int, total: int, percent: float, description: str = "", **more: Any) -> Any:
    given = {"current": current, "total": total, "percent": percent, "description": description}
    return {"pending": False, **given, **more}


def test_a_run_shows_the_share_of_all_its_steps(ask: Any, make_run: MakeRun, owner: User) -> None:
    run = make_run(owner, completion=20.5)

    answer = ask(run.pk)

    assert answer.json() == {
        "state": "PROGRESS",
        "complete": False,
        "success": None,
        "progress": progress(20, 100, 20.5, "func_1: 4 of 10"),
    }
    assert answer["Cache-Control"] == "private, no-store"


def test_a_child_shows_its_own_counters(ask: Any, make_run: MakeRun, owner: User) -> None:
    child = make_run(owner).steps.get(name="func_1")

    assert ask(child.task_id).json()["progress"] == progress(4, 10, 40.0, "4 of 10")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"state": "SUCCESS", "result": {"n": 3}}, {"success": True, "result": {"n": 3}}),
        (
            {"state": "FAILURE", "error": "Error in func_1: bad"},
            {"success": False, "result": "Error in func_1: bad"},
        ),
        (
            {"state": "REVOKED", "error": "func_1 was cancelled"},
            {"success": False, "result": "func_1 was cancelled"},
        ),
    ],
)
def test_a_run_that_has_ended(
    ask: Any, make_run: MakeRun, owner: User, columns: dict[str, Any], expected: dict[str, Any]
) -> None:
    run = make_run(owner, **columns)

    answer = ask(run.pk).json()

    assert answer == {"state": columns["state"], "complete": True, "progress": DONE, **expected}


def test_a_run_that_has_not_begun_waits(ask: Any, make_run: MakeRun, owner: User) -> None:
    run = make_run(owner, state="PENDING", completion=0.0, message="", started_at=None)
    run.steps.filter(name="func_1").update(
        state="QUEUED", started_at=None, reported_at=None, completion=0.0
    )

    answer = ask(run.pk).json()

    assert (answer["state"], answer["complete"]) == ("PENDING", False)
    assert answer["progress"]["pending"] is True


def test_a_child_that_waits_for_its_retry_says_for_how_long(
    ask: Any, make_run: MakeRun, owner: User
) -> None:
    run = make_run(owner)
    run.steps.filter(name="func_1").update(
        state="QUEUED",
        attempt=2,
        queued_at=timezone.now() + timedelta(seconds=60),
        message="retry 1 of 3 after: Error in func_1: bad",
    )

    answer = ask(Step.objects.get(run=run, name="func_1").task_id).json()

    seconds = answer["result"].pop("next_retry_seconds")
    assert 30 <= seconds <= 60
    assert answer == {
        "state": "RETRY",
        "complete": True,
        "success": False,
        "progress": DONE,
        "result": {"message": "retry 1 of 3 after: Error in func_1: bad"},
    }


def test_only_those_who_may_see_a_run_are_answered(
    ask: Any, make_run: MakeRun, owner: User, other: User, staff: User
) -> None:
    run = make_run(owner)
    child = run.steps.get(name="func_1").task_id

    assert [ask(id, other).status_code for id in (run.pk, child)] == [404, 404]
    assert [ask(id, staff).status_code for id in (run.pk, child)] == [200, 200]
    assert ask(run.pk, None).status_code == 401


STORED = [
    (states.SUCCESS, {"rows": 3}, None),
    (states.SUCCESS, None, None),
    (states.FAILURE, ValueError("bad"), "Traceback ..."),
    (states.REVOKED, None, None),
    (states.STARTED, {"pid": 3}, None),
    ("PROGRESS", progress(3, 10, 30.0, "reading"), None),
    (states.RETRY, ValueError("bad"), "celery.exceptions.Retry: Retry in 7s: ValueError('bad')"),
    (states.IGNORED, None, None),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("state", "result", "traceback"), STORED, ids=[s[0] for s in STORED])
def test_other_tasks_are_answered_as_celery_progress_does(
    ask: Any, state: str, result: Any, traceback: str | None
) -> None:
    task_id = store(state, result, traceback)
    theirs = Progress(AsyncResult(task_id)).get_info()

    ours = ask(task_id).json()

    keys = ("state", "complete", "success")
    assert [ours[key] for key in keys] == [theirs[key] for key in keys]
    assert ours["progress"].items() >= theirs["progress"].items()
    if state == states.RETRY:
        assert ours["result"]["next_retry_seconds"] == theirs["result"]["next_retry_seconds"] == 7
    elif state == states.SUCCESS:
        assert ours["result"] == theirs["result"]
    else:
        assert ("result" in ours) == ("result" in theirs)


@pytest.mark.django_db
@pytest.mark.parametrize("task_id", [str(uuid4()), "my-own-id_7"], ids=["uuid", "own"])
def test_an_unknown_task_is_pending(ask: Any, task_id: str) -> None:
    answer = ask(task_id).json()

    assert (answer["state"], answer["complete"]) == ("PENDING", False)
    assert answer["progress"] == progress(0, 100, 0.0, pending=True)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"current": 3, "total": 4}, (3, 4)),
        ({"current": 3, "total": 0}, (3, 100)),
        ({"progress": 50}, (50, 100)),
        ({}, (0, 100)),
        ("reading", (0, 100)),
        (None, (0, 100)),
    ],
)
def test_a_task_with_any_meta_has_numbers(stored: Any, expected: tuple[int, int]) -> None:
    answer = of_stored("PROGRESS", stored, None)["progress"]

    assert (answer["current"], answer["total"]) == expected


def test_a_group_is_the_sum_of_its_tasks(ask: Any, make_run: MakeRun, owner: User) -> None:
    run = make_run(owner)
    child = str(run.steps.get(name="func_1").task_id)
    ids = [str(run.pk), child, store(states.SUCCESS, 3)]
    group: GroupResult = GroupResult(str(uuid4()), [AsyncResult(id) for id in ids])
    group.save()

    with CaptureQueriesContext(connection) as queries:
        answer = ask(group.id, name="group_status").json()

    assert answer == {
        "complete": False,
        "success": False,
        "progress": {"total": 210, "current": 124, "percent": 59.05},
    }
    # The second looks for items of mapped steps, which one id of no run of ours might be.
    assert sum("parent_run" in query["sql"] for query in queries) == 2


@pytest.mark.django_db
def test_a_group_that_was_not_saved_is_not_found(ask: Any) -> None:
    answer = ask(uuid4(), name="group_status")

    assert answer.status_code == 404
    assert "call save()" in answer.json()["detail"]


def test_a_group_of_nothing_known_has_no_share_to_divide() -> None:
    nothing = {"complete": False, "success": None, "progress": {"total": 0, "current": 0}}

    assert of_group([nothing])["progress"]["percent"] == 0.0


def mapped_item(run: Run) -> str:
    """The task id of a new item of the run's second step."""
    step = run.steps.get(name="func_2")
    Step.objects.filter(pk=step.pk).update(chunk=1, items={"total": 1})
    item = Item.objects.create(step=step, index=0, key="0", state="RUNNING", task_id=str(uuid4()))
    return str(item.task_id)


@pytest.mark.parametrize(
    "task_of",
    [lambda run: run.pk, lambda run: run.steps.get(name="func_1").task_id, mapped_item],
    ids=["a run", "a child", "an item"],
)
@pytest.mark.parametrize("beside", ["nothing", "an own run"])
def test_a_group_with_a_task_of_somebody_else_is_not_found(
    ask: Any, make_run: MakeRun, owner: User, other: User, task_of: Any, beside: str
) -> None:
    theirs = str(task_of(make_run(other)))
    current_app.backend.store_result(theirs, "secret", states.SUCCESS)  # as a foreign task does
    ids = [theirs] if beside == "nothing" else [str(make_run(owner).pk), theirs]
    group: GroupResult = GroupResult(str(uuid4()), [AsyncResult(id) for id in ids])
    group.save()

    assert ask(group.id, name="group_status").status_code == 404
    assert ask(theirs).status_code == 404
    assert ask(theirs, other).status_code == 200
