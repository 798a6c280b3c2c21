"""Given a step with retries, a failure is tried again as often and as late as the step says."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from celery.exceptions import NotRegistered
from django.db import OperationalError
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from children.errors import RetryAsked
from children.meta import Meta
from parent import Step as StepDefinition
from parent import Workflow, bootstep, executors, registry
from parent.advance import go_on
from parent.attempts import Again, retry_at, worth_a_retry
from parent.endings import end_attempt, end_run
from parent.engine import Engine, RunningAttempt, lost_attempts
from parent.hand_back import hand_back
from parent.models import Attempt, Executor, Run, Step
from parent.publish import attempt_header
from parent.start import start
from parent.tick import Ticker
from tests.flows import tasks

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def started() -> Iterator[Callable[..., Run]]:
    """Start a run of two steps, the first with these options."""

    def start_one(**options: Any) -> Run:
        steps = [StepDefinition(tasks.noop, name="one", **options), StepDefinition(tasks.noop)]
        return start(Workflow("attempted", steps=steps), {})

    yield start_one
    registry._workflows.pop("attempted", None)


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> Executor:
    """This process as a worker."""
    row = Executor.objects.create(host="here", pid=7)
    monkeypatch.setattr(executors, "_this", row.pk)
    return row


def one(run: Run) -> Step:
    return Step.objects.select_related("run").get(run=run, name="one")


def claimed(run: Run) -> RunningAttempt:
    step = one(run)
    attempt = Engine().claim(str(step.task_id), step.task, attempt_header(step))
    assert attempt is not None
    return attempt


def fail(attempt: RunningAttempt, error: Exception | None = None) -> bool:
    return attempt.finish(Meta().failed("Error in one: bad"), "where", error or ValueError("bad"))


def test_a_failure_is_tried_again_until_the_retries_are_used_up(started: Any) -> None:
    run = started(retries=2)

    assert [fail(claimed(run)) for _ in range(3)] == [False, False, True]

    step = one(run)
    assert (step.state, step.attempt, step.retried) == ("ERROR", 3, 2)
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


def test_the_next_attempt_begins_anew(started: Any) -> None:
    run = started(retries=1)
    attempt = claimed(run)
    attempt.report(Meta.at(3, 10))

    fail(attempt)

    step = one(run)
    assert (step.state, step.iteration, step.error, step.started_at) == ("QUEUED", 0, None, None)
    assert step.message == "retry 1 of 1 after: Error in one: bad"
    assert not TaskResult.objects.filter(task_id=attempt.task_id).exists()


def test_a_retry_that_succeeds_goes_on_with_the_run(started: Any) -> None:
    run = started(retries=1)
    fail(claimed(run))

    claimed(run).finish(Meta().ok(7))

    assert list(run.steps.values_list("state", flat=True)) == ["OK", "QUEUED"]


def test_an_exception_that_is_not_worth_it_is_not_tried_again(started: Any) -> None:
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
    assert step.publishes == 0
    failed_at = Attempt.objects.get().finished_at
    assert failed_at is not None
    assert step.due_at == step.queued_at == failed_at + timedelta(seconds=10)


def test_the_delay_grows_by_the_backoff() -> None:
    step = Step(retries=3, retry_delay=2.0, backoff=3.0)
    delays = []
    for step.retried in range(4):
        at = retry_at(step, Again(), NOW)
        delays.append((at - NOW).total_seconds() if at else None)

    assert delays == [2, 6, 18, None]


def test_a_retry_that_does_not_count_needs_a_step_that_has_some() -> None:
    again = Again(delay=0, counts=False)

    assert retry_at(Step(retries=1, retried=1), again, NOW) == NOW
    assert retry_at(Step(retries=0), again, NOW) is None


def test_of_a_workflow_that_is_unknown_here_every_failure_is_worth_a_retry(started: Any) -> None:
    run = started(retries=1)
    attempt = claimed(run)
    registry._workflows.pop("attempted")

    assert worth_a_retry("attempted", "one", ValueError()) == Again()
    assert not fail(attempt)


def test_a_run_whose_workflow_is_unknown_waits_and_goes_on_where_it_is_known(started: Any) -> None:
    run = started()
    attempt, workflow = claimed(run), registry._workflows.pop("attempted")

    attempt.finish(Meta().ok(None))

    run.refresh_from_db()
    assert list(run.steps.values_list("state", flat=True)) == ["OK", "WAITING"]
    assert run.due_at is not None
    go_on(run.pk)
    assert run.steps.filter(state="QUEUED").count() == 0
    registry.register(workflow)
    assert go_on(run.pk)
    assert run.steps.filter(state="QUEUED").count() == 1


def test_a_worker_that_stops_hands_back_what_may_run_again(
    started: Any, executor: Executor
) -> None:
    run = started(retries=1)
    attempt = claimed(run)

    hand_back(executor.pk)

    step = one(run)
    # Published by a tick elsewhere, when this process is gone.
    assert (step.state, step.attempt, step.retried, step.publishes) == ("QUEUED", 2, 0, 0)
    assert "was shut down while running it" in Attempt.objects.get().error
    assert attempt.finish(Meta().ok("too late"))
    assert one(run).state == "QUEUED"


def test_a_worker_that_stops_gives_up_what_may_not(started: Any, executor: Executor) -> None:
    run = started()
    claimed(run)

    hand_back(executor.pk)

    error = one(run).error
    assert error is not None
    assert error.endswith("was shut down while running it")


def test_a_child_that_was_refused_once_reports_all_the_same(started: Any) -> None:
    """Of two versions of the code, the older one had the message first."""
    run = started()

    task_id = str(one(run).task_id)
    current_app.backend.store_result(task_id, NotRegistered("flows.noop"), "FAILURE")

    claimed(run).report(Meta.at(1, 2))

    assert TaskResult.objects.get(task_id=task_id).status == "PROGRESS"


def test_a_run_that_nobody_knows_how_to_end_ends_at_its_limit(started: Any) -> None:
    """All of its steps are OK; what the run's result is only its workflow can say."""
    run = started()
    claimed(run).finish(Meta().ok(None))
    last = str(Step.objects.get(run=run, name="noop").task_id)
    registry._workflows.pop("attempted")
    end_attempt(last, Meta().ok(None))
    run.refresh_from_db()
    assert not run.ended

    assert end_run(run.pk, "nobody knows it")

    run.refresh_from_db()
    assert (run.state, run.error) == ("FAILURE", "nobody knows it")
    assert TaskResult.objects.get(task_id=str(run.pk)).status == "FAILURE"


def test_a_run_that_has_gone_on_since_it_was_found_overdue_does_not_end(started: Any) -> None:
    run = started()
    attempt, workflow = claimed(run), registry._workflows.pop("attempted")
    attempt.finish(Meta().ok(None))
    run.refresh_from_db()
    registry.register(workflow)
    assert go_on(run.pk)

    assert not end_run(run.pk, "overdue", seen=run.version)

    run.refresh_from_db()
    assert run.state == "PROGRESS"


def test_a_silent_child_that_was_refused_once_is_not_ended_by_that(
    started: Any, executor: Executor
) -> None:
    run = started()
    attempt = claimed(run)
    current_app.backend.store_result(attempt.task_id, NotRegistered("flows.noop"), "FAILURE")
    ticker = Ticker(executor.pk)
    while not ticker.tick():
        pass

    assert one(run).state == "RUNNING"


def test_after_an_outage_of_the_database_every_lease_begins_anew(
    started: Any, executor: Executor
) -> None:
    run = started()
    claimed(run)
    Executor.objects.update(heartbeat_at=Now() - timedelta(seconds=100))
    ticker = Ticker(executor.pk)
    ticker.forgive()
    while not ticker.tick():
        pass
    assert one(run).state == "RUNNING"

    ticker._trust_leases_at = 0
    ticker.tick()

    assert one(run).state == "ERROR"


def test_a_lost_attempt_is_not_forgotten_while_the_database_is_away(
    started: Any, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started()
    lost_attempts.put((claimed(run).task_id, "the worker process died"))
    thread = bootstep.WatchThread(executor.pk, [], "prefork")

    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("the server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(bootstep, "record", away)
        with pytest.raises(OperationalError):
            thread.turn()
    thread.turn()

    assert one(run).error == "one: the worker process died"
    assert lost_attempts.empty()
