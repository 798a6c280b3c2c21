"""Given a step with retries, a failed attempt is retried as often, and as late, as declared."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django_celery_results.models import TaskResult

from children.errors import RetryAsked
from children.meta import Meta
from parent.models import Attempt, Executor, Step
from parent.runs.automatic_retry import RetryDecision, retry_at
from tests.parent.conftest import claimed, fail, one

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_failure_is_tried_again_until_the_retries_are_used_up(started: Any) -> None:
    run = started(retries=2)

    assert [fail(claimed(run)) for _ in range(3)] == [False, False, True]

    step = one(run)
    assert (step.state, step.attempt, step.retries_used) == ("ERROR", 3, 2)
    assert step.error == "Error in one: bad (after 3 attempts)"
    run.refresh_from_db()
    assert (run.state, run.error) == ("FAILURE", step.error)


def test_each_earlier_attempt_keeps_its_record(started: Any, executor: Executor) -> None:
    run = started(retries=1)
    attempt = claimed(run)
    fail(attempt)

    record = Attempt.objects.get(step__run=run)
    assert (record.number, record.task_id) == (1, attempt.task_id)
    assert (record.error, record.traceback) == ("Error in one: bad", "where")
    assert record.worker == "here:7"
    assert record.queued_at is not None
    assert record.started_at is not None
    assert record.finished_at is not None
    assert one(run).task_id != attempt.task_id


def test_the_next_attempt_has_nothing_of_the_one_before(started: Any) -> None:
    run = started(retries=1)
    attempt = claimed(run)
    attempt.report(Meta.at(3, 10))

    fail(attempt)

    step = one(run)
    assert (step.state, step.iteration, step.error, step.started_at) == ("QUEUED", 0, None, None)
    assert step.message == "retry 1 of 1 after: Error in one: bad"
    assert not TaskResult.objects.filter(task_id=attempt.task_id).exists()


def test_a_retry_that_succeeds_advances_the_run(started: Any) -> None:
    run = started(retries=1)
    fail(claimed(run))

    claimed(run).finish(Meta().ok(7))

    assert list(run.steps.values_list("state", flat=True)) == ["OK", "QUEUED"]


def test_an_exception_that_is_not_in_retry_on_is_not_retried(started: Any) -> None:
    run = started(retries=3, retry_on=(ConnectionError,))

    assert not fail(claimed(run), ConnectionResetError())
    assert fail(claimed(run), ValueError())

    assert one(run).attempt == 2


def test_a_step_without_retries_has_none(started: Any) -> None:
    run = started()

    assert fail(claimed(run), RetryAsked("once more"))

    assert one(run).state == "ERROR"


def test_a_child_asks_for_a_retry_and_says_when(started: Any) -> None:
    run = started(retries=1, retry_on=())

    assert not fail(claimed(run), RetryAsked("later", 10))

    step = one(run)
    assert step.publish_count == 0
    failed_at = Attempt.objects.get().finished_at
    assert failed_at is not None
    assert step.due_at == step.queued_at == failed_at + timedelta(seconds=10)


def test_the_delay_grows_by_the_backoff() -> None:
    step = Step(retries=3, retry_delay=2.0, backoff=3.0)
    delays = []
    for step.retries_used in range(4):
        at = retry_at(step, RetryDecision(), NOW)
        delays.append((at - NOW).total_seconds() if at else None)

    assert delays == [2, 6, 18, None]


def test_a_retry_that_does_not_count_needs_a_step_that_has_some() -> None:
    retry = RetryDecision(delay=0, counts=False)

    assert retry_at(Step(retries=1, retries_used=1), retry, NOW) == NOW
    assert retry_at(Step(retries=0), retry, NOW) is None
