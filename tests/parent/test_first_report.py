"""Given a child's first report, its attempt may be ended at the same time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django_celery_results.models import TaskResult

from children.errors import AttemptLost
from children.meta import Meta
from parent.models import Executor, Run
from parent.runs.attempts import RetryDecision
from parent.runs.cancel import cancel
from parent.runs.endings import end_attempt, end_run
from parent.store import results
from parent.worker import running_attempt
from tests.parent.conftest import claimed
from tests.parent.locks import waiting
from tests.waiting import until

on_postgres = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="On SQLite one transaction waits for the other."
)
HALF = Meta.at(1, 2)


def in_thread(work: Callable[[], None]) -> threading.Thread:
    def run() -> None:
        work()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@on_postgres
@pytest.mark.django_db(transaction=True)
def test_a_report_that_waited_for_a_cancel_sees_it(started: Any, executor: Executor) -> None:
    run = started()
    attempt = claimed(run)
    heard = threading.Event()

    def report() -> None:
        try:
            attempt.report(HALF)
        except AttemptLost:
            heard.set()

    with transaction.atomic():
        cancel(run.pk)
        reporting = in_thread(report)
        until("it waits for the lock", waiting)
    reporting.join()

    assert heard.is_set()


def taken_away(run: Run, task_id: str) -> None:
    assert end_attempt(task_id, Meta().failed("lost"), retry=RetryDecision())


def overdue(run: Run, task_id: str) -> None:
    assert end_run(run.pk, "too late")


@on_postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", [taken_away, overdue])
def test_an_end_that_has_to_wait_for_it_leaves_nothing_of_it(
    started: Any,
    executor: Executor,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[Run, str], None],
) -> None:
    run = started(retries=1)
    attempt = claimed(run)
    ending: list[threading.Thread] = []

    def create_and_wait(*given: Any) -> None:
        create_child(*given)
        ending.append(in_thread(lambda: end(run, attempt.task_id)))
        until("the end waits for the lock", waiting)

    create_child = results.create_child
    monkeypatch.setattr(results, "create_child", create_and_wait)
    attempt.report(HALF)
    ending[0].join()

    assert not TaskResult.objects.filter(task_id=attempt.task_id).exists()
    with pytest.raises(AttemptLost):
        attempt.report(HALF)


@pytest.mark.django_db(transaction=True)
def test_one_whose_answer_was_lost_is_deleted_by_the_end(
    started: Any, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = claimed(started())

    @contextmanager
    def answer_lost() -> Iterator[None]:
        with transaction.atomic():
            yield
        monkeypatch.undo()
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(running_attempt, "transaction", type("Lost", (), {"atomic": answer_lost}))
    attempt.report(HALF)
    assert TaskResult.objects.filter(task_id=attempt.task_id).exists()

    attempt.finish(Meta().ok(1))

    assert not TaskResult.objects.filter(task_id=attempt.task_id).exists()
