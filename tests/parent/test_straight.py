"""An end that is written without a lock ends as one with it does, whatever comes in between."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_celery_results.models import TaskResult

from children.meta import Meta
from parent.messages.publish import attempt_header
from parent.models import Executor, Run, Step
from parent.runs import straight
from parent.runs.advance import ATTEMPT_FIELDS
from parent.runs.attempts import Again
from parent.runs.cancel import cancel
from parent.runs.endings import end_attempt, end_run
from parent.store import prepared
from parent.worker.host import ParentHost
from parent.worker.running_attempt import RunningAttempt
from tests.parent.conftest import claimed, one
from tests.parent.locks import waiting
from tests.waiting import until

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks at once"),
]

OK = Meta().ok(7)


def states(run: Run) -> list[str]:
    run.refresh_from_db()
    assert TaskResult.objects.get(task_id=str(run.pk)).status == run.state
    return [run.state, *run.steps.values_list("state", flat=True)]


def test_it_takes_two_statements_and_no_lock_beforehand(started: Any, executor: Executor) -> None:
    run = started()
    attempt = claimed(run)

    with CaptureQueriesContext(connection) as captured:
        attempt.finish(OK)

    assert len(captured) == 2
    assert states(run) == ["PENDING", "OK", "QUEUED"]  # the run's own row is a tick's


def test_the_last_one_ends_the_run(started: Any, executor: Executor) -> None:
    run = started()
    claimed(run).finish(OK)
    last = Step.objects.select_related("run").get(run=run, name="noop")
    attempt = ParentHost().claim(str(last.task_id), last.task, attempt_header(last))
    assert attempt is not None

    assert straight.end_straight(attempt.task_id, OK)

    assert states(run) == ["SUCCESS", "OK", "OK"]
    assert run.result == 7


def test_all_that_an_attempt_writes_was_read() -> None:
    """What was not is read when it is asked for, one statement for each. A step that opens here
    is given its `kwargs`."""
    assert {*ATTEMPT_FIELDS} - {"kwargs"} <= {*straight.STEPS.names}


def cancelled(run: Run, attempt: RunningAttempt) -> None:
    cancel(run.pk)


def overdue(run: Run, attempt: RunningAttempt) -> None:
    assert end_run(run.pk, "too late")


def taken_away(run: Run, attempt: RunningAttempt) -> None:
    lost = Meta().failed("lost")
    assert end_attempt(attempt.task_id, lost, again=Again())


def mirrored(run: Run, attempt: RunningAttempt) -> None:
    Run.objects.filter(pk=run.pk).update(version=9, message="from a tick")


def ended_before(run: Run, attempt: RunningAttempt) -> None:
    assert end_attempt(attempt.task_id, Meta().ok("first"), reported=False)


BETWEEN = [
    (cancelled, ["REVOKED", "OK", "CANCELLED"]),
    (overdue, ["FAILURE", "ERROR", "SKIPPED"]),
    (taken_away, ["PENDING", "QUEUED", "WAITING"]),
    (mirrored, ["PENDING", "OK", "QUEUED"]),
    (ended_before, ["PENDING", "OK", "QUEUED"]),
]


@pytest.mark.parametrize(("happens", "then"), BETWEEN)
def test_what_came_between_the_look_and_the_end_counts(
    started: Any,
    executor: Executor,
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[Run, RunningAttempt], None],
    then: list[str],
) -> None:
    run = started(retries=1)
    attempt = claimed(run)

    def look_and_wait(*given: Any) -> Any:
        seen = prepared.fetch(*given)
        happens(run, attempt)
        return seen

    monkeypatch.setattr("parent.runs.straight.fetch", look_and_wait)
    attempt.finish(OK)

    assert states(run) == then
    assert one(run).result == ("first" if happens is ended_before else 7 if "OK" in then else None)


def test_a_result_that_is_gone_is_written_again(started: Any, executor: Executor) -> None:
    run = started()
    attempt = claimed(run)
    TaskResult.objects.all().delete()
    assert not straight.end_straight(attempt.task_id, OK)

    attempt.finish(OK)

    last = Step.objects.get(run=run, name="noop")
    Step.objects.filter(pk=last.pk).update(state="RUNNING")
    assert end_attempt(str(last.task_id), OK)
    assert states(run) == ["SUCCESS", "OK", "OK"]


def test_of_two_that_run_side_by_side_none_ends_so(started: Any, executor: Executor) -> None:
    run = started()
    attempt = claimed(run)
    Step.objects.filter(run=run, name="noop").update(state="RUNNING", task_id="beside", after=[])

    assert not straight.end_straight(attempt.task_id, OK)


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_who_holds_the_run_and_hears_what_they_did(
    started: Any, executor: Executor
) -> None:
    run = started()
    attempt = claimed(run)

    def finish() -> None:
        attempt.finish(OK)
        connection.close()

    ending = threading.Thread(target=finish)
    with transaction.atomic():
        cancel(run.pk)
        ending.start()
        until("it waits for the lock", waiting)
    ending.join()

    assert states(run) == ["REVOKED", "OK", "CANCELLED"]
