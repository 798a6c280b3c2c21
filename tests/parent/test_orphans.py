"""A result that Celery stores for an attempt that has ended is deleted."""

from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app, states
from celery.exceptions import NotRegistered
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from children.meta import Meta
from parent.deletion import orphan_results
from parent.messages.publish import attempt_header
from parent.models import Executor, Run, Step
from parent.runs.endings import end_attempt
from parent.runs.user_retry import retry as retrying
from parent.watch.tick import Ticker
from parent.worker.host import ParentHost
from parent.worker.running_attempt import RunningAttempt
from tests.flows import workflows

pytestmark = pytest.mark.django_db


def first(run: Run) -> Step:
    return Step.objects.select_related("run").get(run=run, index=0)


def store(step: Step, state: str = states.SUCCESS) -> None:
    """Store a result as Celery does for a foreign or an unknown task."""
    result = NotRegistered(step.task) if state == states.FAILURE else [1]
    current_app.backend.store_result(str(step.task_id), result, state)


def stored() -> set[str]:
    """The task ids of all results except those of runs."""
    runs = [str(pk) for pk in Run.objects.values_list("pk", flat=True)]
    return set(TaskResult.objects.exclude(task_id__in=runs).values_list("task_id", flat=True))


def test_a_silent_child_that_was_refused_and_then_claimed_leaves_nothing() -> None:
    """A worker with other code received one of two duplicate messages."""
    step = first(workflows.noops.start())
    Step.objects.filter(pk=step.pk).update(publish_count=2)
    store(step, states.FAILURE)

    attempt = ParentHost().claim(str(step.task_id), attempt_header(step))
    assert attempt is not None
    attempt.finish(Meta().ok(None))

    assert not stored()


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_a_foreign_task_that_ends_after_its_attempt_leaves_nothing(end: str) -> None:
    step = first(workflows.foreign.start(a=1))
    attempt = RunningAttempt(str(step.task_id), attempt_header(step), has_result=True)
    attempt.claim()
    end_attempt(attempt.task_id, Meta().failed(end))
    store(step)

    attempt.finish(Meta().ok([1]))

    assert not stored()


@pytest.fixture
def sweep() -> Callable[[], Any]:
    """Run a tick that makes the full comparison."""
    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)
    while not ticker.tick():
        pass

    def tick() -> None:
        ticker._sweep_at = 0.0
        ticker.tick()

    return tick


def test_what_was_stored_after_the_end_is_swept_away(sweep: Callable[[], None]) -> None:
    step = first(workflows.foreign.start(a=1))
    end_attempt(str(step.task_id), Meta().failed("it is over"))
    store(step)

    sweep()

    assert not stored()


def test_so_is_what_an_attempt_stored_that_another_one_has_followed(
    sweep: Callable[[], None],
) -> None:
    step = first(workflows.foreign.start(a=1))
    end_attempt(str(step.task_id), Meta().failed("it is over"))
    retrying.retry(step.run_id)
    store(step)

    sweep()

    assert first(step.run).state == "QUEUED"
    assert not stored()


def test_what_is_at_work_and_what_is_not_ours_stays(sweep: Callable[[], None]) -> None:
    step, run = first(workflows.counting.start(limit=3)), workflows.noops.start()
    attempt = ParentHost().claim(str(step.task_id), attempt_header(step))
    assert attempt is not None
    attempt.report(Meta.at(1, 3))
    current_app.backend.store_result("another-task", 1, states.SUCCESS)

    sweep()

    assert stored() == {attempt.task_id, "another-task"}
    assert TaskResult.objects.filter(task_id=str(run.pk)).exists()


def test_forget_leaves_what_is_at_work() -> None:
    step = first(workflows.foreign.start(a=1))
    store(step)

    orphan_results.delete_of(str(step.task_id))

    assert stored() == {step.task_id}
    Step.objects.filter(pk=step.pk).update(state="ERROR", finished_at=Now())
    orphan_results.delete_of(str(step.task_id))
    assert not stored()
