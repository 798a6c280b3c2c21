"""Reports: one UPDATE of the step, while others end its attempt or copy the report."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_celery_results.models import TaskResult

from children.errors import AttemptLost
from children.meta import Meta
from children.progress import Progress
from parent.models import Executor, Run, Step
from parent.runs.automatic_retry import RetryDecision
from parent.runs.cancel import cancel
from parent.runs.endings import end_attempt, end_run
from parent.runs.user_retry.retry import retry
from parent.watch.mirror import mirror
from tests.parent.conftest import claimed, one
from tests.parent.locks import waiting
from tests.waiting import PATIENCE, until

on_postgres = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="On SQLite one transaction waits for the other."
)
HALF = Meta.at(1, 2)


def result_of(task_id: str) -> Any:
    return TaskResult.objects.filter(task_id=task_id).first()


@pytest.mark.django_db
def test_a_report_is_one_statement_and_writes_no_result(started: Any, executor: Executor) -> None:
    attempt = claimed(run := started())

    for iteration in (1, 2):
        with CaptureQueriesContext(connection) as captured:
            attempt.report(Meta.at(iteration, 4, "reading"))
        assert len(captured) == 1

    step = one(run)
    assert (step.iteration, step.total, step.completion) == (2, 4, 50.0)
    assert step.message == "reading"
    assert result_of(attempt.task_id) is None


@pytest.mark.django_db
def test_what_is_not_mirrored_waits_since_its_first_report(
    started: Any, executor: Executor
) -> None:
    attempt = claimed(run := started())
    attempt.report(HALF)
    first = one(run).unmirrored_since
    attempt.report(Meta.at(2, 2))

    assert first is not None
    assert one(run).unmirrored_since == first
    mirror([attempt.task_id])
    assert one(run).unmirrored_since is None
    attempt.report(HALF)
    attempt.finish(Meta().ok(1))
    assert one(run).unmirrored_since is None


@pytest.mark.django_db
def test_celery_shows_a_child_that_lives_longer_than_a_tick(
    started: Any, executor: Executor
) -> None:
    attempt = claimed(started())
    for iteration in (1, 2):
        attempt.report(Meta.at(iteration, 4))
        assert mirror([attempt.task_id]) == 1

        shown = current_app.AsyncResult(attempt.task_id)
        assert (shown.state, shown.info["iteration"]) == ("PROGRESS", iteration)

    attempt.finish(Meta().ok(1))

    assert result_of(attempt.task_id) is None


@pytest.mark.django_db
def test_a_child_shorter_than_a_tick_deletes_nothing(started: Any, executor: Executor) -> None:
    attempt = claimed(started())
    attempt.report(HALF)

    with CaptureQueriesContext(connection) as captured:
        attempt.finish(Meta().ok(1))

    assert not [query for query in captured if query["sql"].startswith("DELETE")]


@pytest.mark.django_db
def test_the_next_attempt_shows_nothing_of_the_one_before(started: Any, executor: Executor) -> None:
    attempt = claimed(run := started(retries=1))
    attempt.report(HALF)
    mirror([attempt.task_id])

    attempt.finish(Meta().failed("no"), error=ValueError("no"))

    step = one(run)
    assert (step.reported_at, step.mirrored_at, step.iteration) == (None, None, 0)
    assert result_of(attempt.task_id) is None
    assert result_of(str(step.task_id)) is None


@pytest.mark.django_db
def test_a_result_of_a_worker_that_did_not_know_the_task_is_replaced(
    started: Any, executor: Executor
) -> None:
    attempt = claimed(started())
    TaskResult.objects.create(task_id=attempt.task_id, status="FAILURE", traceback="where")
    attempt.report(HALF)

    mirror([attempt.task_id])

    row = result_of(attempt.task_id)
    assert (row.status, row.traceback, row.task_name) == ("PROGRESS", None, "flows.noop")


def cancelled(run: Run, _: str) -> None:
    cancel(run.pk)


def taken_away(_: Run, task_id: str) -> None:
    assert end_attempt(task_id, Meta().failed("lost"), retry=RetryDecision())


def overdue(run: Run, _: str) -> None:
    assert end_run(run.pk, "too late")


def deleted(run: Run, _: str) -> None:
    run.delete()


def started_again(run: Run, _: str) -> None:
    overdue(run, "")
    retry(run.pk)


ENDS = [cancelled, taken_away, overdue, deleted, started_again]
End = Callable[[Run, str], None]


@pytest.mark.django_db
@pytest.mark.parametrize("end", ENDS)
def test_a_report_after_the_end_is_refused_and_changes_nothing(
    started: Any, executor: Executor, end: End
) -> None:
    attempt = claimed(run := started(retries=1))
    end(run, attempt.task_id)
    before = list(Step.objects.values())

    with pytest.raises(AttemptLost, match="no longer counts"):
        attempt.report(HALF)

    assert list(Step.objects.values()) == before
    assert attempt.lost


@on_postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", [taken_away, overdue, started_again])
def test_a_report_that_waits_for_the_end_is_refused(
    started: Any, executor: Executor, end: End
) -> None:
    """The UPDATE has found the row before the other transaction changes it."""
    attempt = claimed(run := started(retries=1))
    refused = threading.Event()

    def report() -> None:
        try:
            attempt.report(HALF)
        except AttemptLost:
            refused.set()
        connection.close()

    with transaction.atomic():
        end(run, attempt.task_id)
        reporting = threading.Thread(target=report)
        reporting.start()
        until("it waits for the lock", waiting)
    reporting.join()

    assert refused.is_set()
    assert one(run).iteration == 0


@on_postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", [taken_away, overdue])
def test_an_end_that_waits_for_the_mirror_deletes_what_it_wrote(
    started: Any, executor: Executor, end: End
) -> None:
    attempt = claimed(run := started(retries=1))
    attempt.report(HALF)

    def end_now() -> None:
        end(run, attempt.task_id)
        connection.close()

    with transaction.atomic():
        mirror([attempt.task_id])
        ending = threading.Thread(target=end_now)
        ending.start()
        until("the end waits for the lock", waiting)
    ending.join()

    assert result_of(attempt.task_id) is None


@on_postgres
@pytest.mark.django_db(transaction=True)
def test_a_mirror_does_not_wait_for_a_report(started: Any, executor: Executor) -> None:
    """A child may run inline, in a long transaction of its caller."""
    attempt = claimed(run := started())
    attempt.report(HALF)
    mirrored: list[int] = []

    def tick() -> None:
        mirrored.append(mirror([attempt.task_id]))
        connection.close()

    with transaction.atomic():
        attempt.report(Meta.at(2, 2))
        ticking = threading.Thread(target=tick)
        ticking.start()
        ticking.join(timeout=PATIENCE)
        assert not ticking.is_alive()
    assert one(run).mirrored_at is None

    mirror([attempt.task_id])

    assert one(run).mirrored_at == one(run).reported_at


@pytest.mark.django_db
def test_the_pace_of_an_earlier_attempt_stays_until_there_is_a_new_one(
    started: Any, executor: Executor
) -> None:
    attempt = claimed(run := started(retries=1))
    progress = Progress(attempt.report, interval=0)
    progress.update(0, 10)
    progress.update(2)
    attempt.finish(Meta().failed("no"), error=ValueError("no"))
    before = one(run).pace
    assert before is not None

    again = claimed(run)
    again.report(Meta.at(0, 10))

    assert one(run).pace == before
    again.report(Meta.at(9, 10))
    assert one(run).pace != before
