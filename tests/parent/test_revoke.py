"""Celery's `revoke` of a run, or of a child of a run, cancels the run."""

from typing import Any
from uuid import uuid4

import pytest
from django_celery_results.models import TaskResult

from children.meta import Meta
from parent.messages.publish import attempt_header
from parent.models import Event, Run, Step
from parent.runs.cancel import cancel
from parent.runs.start import start
from parent.worker.host import ParentHost
from parent.worker.revoke import revoke_runs
from tests.flows import workflows

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    return start(workflows.noops, {})


def first(run: Run) -> Step:
    return Step.objects.select_related("run").get(run=run, index=0)


def claim(run: Run) -> Any:
    step = first(run)
    attempt = ParentHost().claim(str(step.task_id), attempt_header(step))
    assert attempt is not None
    return attempt


def of_the_run(run: Run) -> str:
    return str(run.pk)


def of_the_run_in_capitals(run: Run) -> str:
    return str(run.pk).upper()


def of_a_queued_child(run: Run) -> str:
    return str(first(run).task_id)


def of_a_running_child(run: Run) -> str:
    return str(claim(run).task_id)


IDS = [of_the_run, of_the_run_in_capitals, of_a_queued_child, of_a_running_child]


@pytest.mark.parametrize("id_of", IDS)
def test_it_cancels_once_however_many_workers_hear_of_it(run: Run, id_of: Any) -> None:
    ids = [id_of(run)]

    assert [revoke_runs(ids) for _ in range(3)] == [set(), set(), set()]

    run.refresh_from_db()
    assert run.cancel_requested_at is not None
    assert [event.what for event in Event.objects.filter(run=run)] == ["cancel"]


def test_what_runs_is_given_its_grace_or_none(run: Run) -> None:
    claim(run)
    revoke_runs([str(run.pk)])
    run.refresh_from_db()
    step = first(run)
    assert step.due_at is not None
    assert run.cancel_requested_at is not None
    assert (step.due_at - run.cancel_requested_at).total_seconds() == 10

    revoke_runs([str(run.pk)], at_once=True)

    later = first(run)
    assert later.due_at is not None
    assert later.due_at < step.due_at


def the_run_has_ended(run: Run) -> list[str]:
    cancel(run.pk)
    return [str(run.pk)]


def the_child_has_ended(run: Run) -> list[str]:
    attempt = claim(run)
    attempt.finish(Meta().ok(None))
    return [attempt.task_id]


def the_attempt_has_a_follower(run: Run) -> list[str]:
    Step.objects.update(retries=1)
    attempt = claim(run)
    attempt.finish(Meta().failed("bad"), None, ValueError("bad"))
    return [attempt.task_id]


@pytest.mark.parametrize(
    "made", [the_run_has_ended, the_child_has_ended, the_attempt_has_a_follower]
)
def test_what_has_ended_is_left_as_it_is(run: Run, made: Any) -> None:
    ids = made(run)
    before = (*Run.objects.values(), *Step.objects.values(), *TaskResult.objects.values())

    assert revoke_runs(ids) == set()

    after = (*Run.objects.values(), *Step.objects.values(), *TaskResult.objects.values())
    assert after == before


def test_what_is_no_runs_is_left_to_celery(run: Run) -> None:
    others = {str(uuid4()), "not-a-uuid", ""}

    assert revoke_runs({str(run.pk), *others}) == others


def test_a_run_that_is_retried_after_it_goes_on(run: Run) -> None:
    from parent.runs.user_retry.retry import retry

    revoke_runs([str(run.pk)])
    retry(run.pk)

    run.refresh_from_db()
    assert (run.state, run.cancel_requested_at) == ("STARTED", None)
    assert first(run).state == "QUEUED"
