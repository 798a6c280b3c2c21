"""Given an attempt, its outcome is recorded exactly once, and only while it counts."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from django.db import IntegrityError
from django.db.models.functions import Now
from django.utils import timezone
from django_celery_results.models import TaskResult

from children.errors import AttemptLost
from children.meta import ALMOST, Meta
from parent import Step as StepDefinition
from parent import Workflow
from parent.definition.workflow import registry
from parent.messages.publish import attempt_header
from parent.models import Executor, Run, Step
from parent.runs.advance import continue_run
from parent.runs.endings import end_attempt, end_run
from parent.runs.start import start
from parent.watch.tick import Ticker
from parent.worker.host import ParentHost
from parent.worker.running_attempt import RunningAttempt
from tests.flows import workflows
from tests.flows.tasks import noop

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    return start(workflows.noops, {})


def first(run: Run) -> Step:
    return Step.objects.get(run=run, index=0)


def claim(step: Step) -> RunningAttempt | None:
    return ParentHost().claim(str(step.task_id), attempt_header(step))


def claimed(step: Step) -> RunningAttempt:
    attempt = claim(step)
    assert attempt is not None
    return attempt


def test_an_active_run_has_nothing_to_continue(run: Run) -> None:
    attempt = first(run).task_id

    assert not continue_run(run.pk)
    assert first(run).task_id == attempt
    assert not continue_run(uuid4())


def test_one_of_all_deliveries_claims_the_attempt(run: Run) -> None:
    claims = [claim(first(run)) for _ in range(3)]

    assert [c is not None for c in claims] == [True, False, False]
    assert first(run).state == "RUNNING"


def test_a_finish_opens_the_next_step_in_the_same_transaction(run: Run) -> None:
    claimed(first(run)).finish(Meta().ok(None), None)

    assert list(run.steps.values_list("state", flat=True)) == ["OK", "QUEUED", "WAITING"]


def test_a_tick_updates_a_run_that_is_behind_its_steps(run: Run) -> None:
    claimed(first(run)).finish(Meta().ok(None), None)
    claimed(second := run.steps.get(name="second"))
    assert due_within_a_second(second)
    Step.objects.update(due_at=Now())

    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)
    while not ticker.tick():
        pass

    run.refresh_from_db()
    second.refresh_from_db()
    assert (run.state, run.message, second.due_at) == ("PROGRESS", "second", None)
    assert run.completion == pytest.approx(100 / 3)
    assert run.started_at == first(run).started_at
    assert current_app.AsyncResult(str(run.pk)).info == run.meta.as_dict()


def due_within_a_second(step: Step) -> bool:
    step.refresh_from_db()
    assert step.due_at is not None
    return step.due_at <= timezone.now() + timedelta(seconds=1)


def test_the_first_outcome_counts_and_the_second_changes_nothing(run: Run) -> None:
    attempt = claimed(first(run))
    attempt.finish(Meta().ok("first"), None)

    attempt.finish(Meta().failed("second"), None)

    assert (first(run).state, first(run).result, first(run).error) == ("OK", "first", None)


def test_a_report_of_an_ended_attempt_ends_the_body(run: Run) -> None:
    attempt = claimed(first(run))
    attempt.report(Meta.at(1, 2))
    end_attempt(attempt.task_id, Meta().failed("taken away"))

    with pytest.raises(AttemptLost):
        attempt.report(Meta.at(2, 2))

    assert not TaskResult.objects.filter(task_id=attempt.task_id).exists()


def test_a_report_after_its_row_was_deleted_writes_it_again(run: Run, executor: Executor) -> None:
    attempt, ticker = claimed(first(run)), Ticker(executor.pk)
    for iteration in (1, 2):
        TaskResult.objects.all().delete()
        attempt.report(Meta.at(iteration, 2))
        while not ticker.tick():
            pass  # the first makes the lease

    assert TaskResult.objects.get(task_id=attempt.task_id).status == "PROGRESS"


def test_the_end_is_readable_after_the_parents_row_was_deleted(run: Run) -> None:
    TaskResult.objects.all().delete()

    end_run(run.pk, "enough")

    assert TaskResult.objects.get(task_id=str(run.pk)).status == "FAILURE"


def test_a_run_that_is_ended_ends_its_active_step_and_skips_the_rest(run: Run) -> None:
    attempt = claimed(first(run))

    assert end_run(run.pk, "enough")

    assert list(run.steps.values_list("state", flat=True)) == ["ERROR", "SKIPPED", "SKIPPED"]
    run.refresh_from_db()
    assert (run.state, run.error) == ("FAILURE", "enough")
    with pytest.raises(AttemptLost):
        attempt.report(Meta.at(1, 2))
    assert not end_run(run.pk, "again")


def test_a_run_that_never_started_can_be_ended(run: Run) -> None:
    assert end_run(run.pk, "nobody came")

    run.refresh_from_db()
    assert (run.state, run.error) == ("FAILURE", "nobody came")


@pytest.mark.parametrize(
    "values",
    [
        {"state": "SUCCESS"},  # an end without its time
        {"state": "NONSENSE"},
        {"completion": 101},
    ],
)
def test_the_database_refuses_a_run_that_cannot_be(run: Run, values: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        Run.objects.filter(pk=run.pk).update(**values)


@pytest.mark.parametrize("values", [{"task_id": None}, {"state": "NONSENSE"}, {"completion": -1}])
def test_the_database_refuses_a_step_that_cannot_be(run: Run, values: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        Step.objects.filter(pk=first(run).pk).update(**values)


def test_an_outcome_that_cannot_be_stored_becomes_an_error_that_says_so(run: Run) -> None:
    attempt = claimed(first(run))

    attempt.finish(replace(Meta().ok(None), result={1, 2}), None)

    error = first(run).error
    assert error is not None
    assert error.startswith("Error in first: the outcome could not be recorded: ")
    run.refresh_from_db()
    assert run.state == "FAILURE"


def test_a_run_whose_result_fails_does_not_stand_at_100_percent() -> None:
    workflow = Workflow("no_result", steps=[StepDefinition(noop)], result=lambda _: 1 / 0)
    try:
        run = start(workflow, {})
        assert claimed(first(run)).finish(Meta().ok(1))
    finally:
        registry._workflows.pop("no_result", None)
    run.refresh_from_db()

    assert (run.state, run.completion) == ("FAILURE", ALMOST)
    assert run.error == "Error in the result of no_result: division by zero"


@pytest.mark.parametrize("report", [Meta.at(5, 3), Meta(completion=100.0, iteration=3, total=3)])
def test_a_child_that_counts_beyond_its_total_is_not_done(
    run: Run, report: Meta, executor: Executor
) -> None:
    attempt = claimed(first(run))
    attempt.report(report)
    ticker = Ticker(executor.pk)
    while not ticker.tick():
        pass  # the first makes the lease

    step = first(run)
    assert (step.state, step.iteration, step.total) == ("RUNNING", report.iteration, 3)
    assert 99 <= step.completion <= ALMOST
    attempt.finish(step.meta.failed("Error in noop: no"))
    assert first(run).completion <= ALMOST


def test_a_tick_measures_the_pace_of_a_child(run: Run, executor: Executor) -> None:
    attempt, ticker = claimed(first(run)), Ticker(executor.pk)
    for iteration in (0, 3):
        attempt.report(Meta.at(iteration, 10))
        while not ticker.tick():
            pass  # the first makes the lease

    step = first(run)
    assert step.pace is not None
    assert step.pace > 0
    assert step.paced_since is not None
    assert step.reported_at is not None
    assert step.paced_since < step.reported_at
