"""Cancelling a run in each state: the response, and what happens to the run."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from celery.exceptions import TaskRevokedError
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from children.meta import Meta
from parent.errors import RunEnded
from parent.models import Event, Run
from parent.runs.cancel import cancel
from parent.watch.tick import Ticker
from tests.flows import workflows
from tests.monitor.runs import claimed, finish, report, result_of, states, step

Api = Callable[[User | None], APIClient]
ROUNDS = 12


def test_a_run_that_nobody_runs_is_cancelled_at_once(owner: User, api: Api) -> None:
    run = workflows.noops.start(owner=owner)

    response = api(owner).post(f"/tasks/{run.pk}/cancel/")

    assert response.status_code == 202
    assert (response.json()["state"], response.json()["status"]) == ("REVOKED", "ERROR")
    assert [told["state"] for told in response.json()["steps"]] == ["REVOKED"] * 3
    assert {told["message"] for told in response.json()["steps"]} == {"cancelled"}
    assert response.json()["poll_after_ms"] is None


def test_a_running_child_ends_at_its_next_report_and_the_run_with_it(owner: User, api: Api) -> None:
    run = workflows.noops.start(owner=owner)
    finish(run, "first", 1)
    attempt = claimed(run, "second")
    assert report(attempt)

    told = api(owner).post(f"/tasks/{run.pk}/cancel/").json()

    assert (told["state"], told["message"]) == ("PROGRESS", "cancelling")
    assert told["eta_seconds"] is None
    assert states(run) == ["OK", "RUNNING", "CANCELLED"]
    assert not report(attempt)
    assert states(run) == ["OK", "CANCELLED", "CANCELLED"]
    told = api(owner).get(f"/tasks/{run.pk}/").json()
    assert (told["state"], told["error"]) == ("REVOKED", "second was cancelled")
    assert not attempt.finish(Meta().ok(2)) or step(run, "second").state == "CANCELLED"


def test_a_celery_client_reads_that_it_was_revoked(owner: User) -> None:
    run = workflows.noops.start(owner=owner)

    cancel(run.pk, who="ann")

    assert result_of(run.pk).state == "REVOKED"
    with pytest.raises(TaskRevokedError):
        result_of(run.pk).get()


def test_a_child_that_does_not_report_is_given_up_after_the_grace_period(
    owner: User, settings: Any
) -> None:
    run = workflows.noops.start(owner=owner)
    attempt = claimed(run, "first")
    cancel(run.pk)
    ticker = Ticker(uuid4())
    ticker.tick()
    assert states(run)[0] == "RUNNING"

    run.steps.filter(name="first").update(due_at=timezone.now() - timedelta(seconds=1))
    ticker.tick()

    assert states(run) == ["CANCELLED"] * 3
    assert result_of(run.pk).state == "REVOKED"
    attempt.finish(Meta().ok("too late"))
    assert (states(run)[0], step(run, "first").result) == ("CANCELLED", None)


def test_cancelling_again_changes_nothing(owner: User, api: Api) -> None:
    run = workflows.noops.start(owner=owner)
    claimed(run, "first")
    client = api(owner)

    codes = [client.post(f"/tasks/{run.pk}/cancel/").status_code for _ in range(2)]

    assert codes == [202, 202]
    assert Event.objects.filter(run=run).count() == 1


def test_the_history_says_who_cancelled_and_when(owner: User, staff: User, api: Api) -> None:
    run = workflows.noops.start(owner=owner)

    api(staff).post(f"/tasks/{run.pk}/cancel/")

    event = Event.objects.get(run=run)
    run.refresh_from_db()
    assert (event.who, event.what, event.at) == ("eve", "cancel", run.cancel_requested_at)


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "REVOKED"])
def test_an_ended_run_is_not_cancelled(
    owner: User, api: Api, make_run: Callable[..., Run], state: str
) -> None:
    run = make_run(owner, state=state)

    response = api(owner).post(f"/tasks/{run.pk}/cancel/")

    assert response.status_code == 409
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["detail"] == f"The run has ended already: it is {state}."
    assert not Event.objects.exists()


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_only_a_runs_own_id_and_only_its_owner(
    owner: User, other: User, api: Api, action: str
) -> None:
    run = workflows.noops.start(owner=owner)
    child_id = step(run, "first").task_id

    assert api(None).post(f"/tasks/{run.pk}/{action}/").status_code == 401
    assert api(other).post(f"/tasks/{run.pk}/{action}/").status_code == 404
    assert api(owner).post(f"/tasks/{child_id}/{action}/").status_code == 404
    assert api(owner).post(f"/tasks/{uuid4()}/{action}/").status_code == 404
    assert api(owner).get(f"/tasks/{run.pk}/{action}/").status_code == 405
    assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("last_reports", [True, False])
def test_cancel_racing_finish_gives_one_terminal_state(owner: User, last_reports: bool) -> None:
    for _ in range(ROUNDS):
        run = workflows.noops.start(owner=owner)
        finish(run, "first")
        finish(run, "second")
        attempt = claimed(run, "third")

        def child(attempt: Any = attempt) -> None:
            if not last_reports or report(attempt):
                attempt.finish(Meta().ok(3))

        cancelled, _ended = at_once(partial(cancelled_in_time, run), child)

        run.refresh_from_db()
        assert states(run)[:2] == ["OK", "OK"]
        assert (run.state, states(run)[2]) in [("SUCCESS", "OK"), ("REVOKED", "CANCELLED")]
        assert cancelled or run.state == "SUCCESS"
        assert result_of(run.pk).state == run.state
        assert run.finished_at is not None


def cancelled_in_time(run: Run) -> bool:
    try:
        cancel(run.pk)
    except RunEnded:
        return False
    return True


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Call the functions in threads that start together, and return their results."""
    line = threading.Barrier(len(calls))

    def begin(call: Callable[[], Any]) -> Any:
        try:
            line.wait(10)
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(begin, calls))
