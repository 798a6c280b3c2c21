"""Given two versions of the code, what one does not know waits for a worker with the other."""

from typing import Any

import pytest
from celery import current_app
from celery.exceptions import NotRegistered
from django_celery_results.models import TaskResult

from children.meta import Meta
from parent import Step as StepDefinition
from parent import Workflow
from parent.definition.workflow import registry
from parent.models import Executor, Step
from parent.runs.advance import continue_run
from parent.runs.automatic_retry import RetryDecision, retry_decision
from parent.runs.endings import end_attempt, end_run
from parent.runs.start import start
from parent.watch.mirror import mirror
from parent.watch.tick import Ticker
from tests.flows import tasks
from tests.parent.conftest import claimed, fail, one

pytestmark = pytest.mark.django_db


def test_every_failure_in_an_unknown_workflow_may_be_retried(started: Any) -> None:
    run = started(retries=1)
    attempt = claimed(run)
    registry._workflows.pop("attempted")

    assert retry_decision("attempted", "one", ValueError()) == RetryDecision()
    assert not fail(attempt)


def test_a_run_whose_workflow_is_unknown_waits_until_a_worker_knows_it(started: Any) -> None:
    run = started()
    attempt, workflow = claimed(run), registry._workflows.pop("attempted")

    attempt.finish(Meta().ok(None))

    run.refresh_from_db()
    assert list(run.steps.values_list("state", flat=True)) == ["OK", "WAITING"]
    assert run.due_at is not None
    continue_run(run.pk)
    assert run.steps.filter(state="QUEUED").count() == 0
    registry.register(workflow)
    assert continue_run(run.pk)
    assert run.steps.filter(state="QUEUED").count() == 1


def test_what_is_to_be_skipped_is_skipped_where_the_workflow_is_unknown() -> None:
    """What must open waits for a worker that knows the workflow."""
    steps = [
        StepDefinition(tasks.noop, name="a", after=()),
        StepDefinition(tasks.noop, name="after_a", after=["a"]),
        StepDefinition(tasks.noop, name="b", after=()),
        StepDefinition(tasks.noop, name="after_b", after=["b"]),
    ]
    run = start(Workflow("attempted", steps=steps), {})
    workflow = registry._workflows.pop("attempted")
    a, b = (str(Step.objects.get(run=run, name=name).task_id) for name in "ab")
    end_attempt(a, Meta().ok(None))

    assert end_attempt(b, Meta().failed("broken"))

    states = run.steps.values_list("state", flat=True)
    assert [*states] == ["OK", "WAITING", "ERROR", "SKIPPED"]
    run.refresh_from_db()
    assert not run.ended
    assert run.due_at is not None
    registry.register(workflow)
    assert continue_run(run.pk)
    assert [*states.all()] == ["OK", "QUEUED", "ERROR", "SKIPPED"]
    registry._workflows.pop("attempted")


def test_a_child_whose_message_was_refused_once_can_report(started: Any) -> None:
    """A worker with the older version of the code had the message first."""
    run = started()

    task_id = str(one(run).task_id)
    current_app.backend.store_result(task_id, NotRegistered("flows.noop"), "FAILURE")

    claimed(run).report(Meta.at(1, 2))
    mirror([task_id])

    assert TaskResult.objects.get(task_id=task_id).status == "PROGRESS"


def test_a_run_that_no_worker_can_end_ends_at_its_limit(started: Any) -> None:
    """All of its steps are OK, but only its workflow can compute the run's result."""
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
