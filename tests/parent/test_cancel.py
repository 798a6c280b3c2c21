"""Given a cancelled run, waiting steps end at once, and running steps at their next report."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from children.errors import AttemptLost
from children.meta import Meta
from parent.errors import RunEnded, UnknownRun
from parent.messages.publish import attempt_header
from parent.models import Event, Executor, Run, Step
from parent.runs.cancel import cancel
from parent.runs.endings import end_attempt, end_cancelled
from parent.runs.start import start
from parent.watch.mirror import mirror
from parent.watch.tick import Ticker
from parent.worker.host import ParentHost
from parent.worker.running_attempt import RunningAttempt
from tests.flows import workflows

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    return start(workflows.noops, {})


def first(run: Run) -> Step:
    return Step.objects.select_related("run").get(run=run, index=0)


def claim(run: Run) -> RunningAttempt:
    step = first(run)
    attempt = ParentHost().claim(str(step.task_id), attempt_header(step))
    assert attempt is not None
    return attempt


def states(run: Run) -> list[str]:
    run.refresh_from_db()
    assert TaskResult.objects.get(task_id=str(run.pk)).status == run.state
    return [run.state, *run.steps.values_list("state", flat=True)]


def test_a_run_without_running_steps_ends_at_once(run: Run) -> None:
    cancel(run.pk, who="ada")

    assert states(run) == ["REVOKED", *["CANCELLED"] * 3]
    assert run.error == "first was cancelled"
    event = Event.objects.get(run=run)
    assert (event.who, event.what) == ("ada", "cancel")


def test_a_message_of_a_cancelled_step_runs_nothing(run: Run) -> None:
    step = first(run)
    cancel(run.pk)

    assert ParentHost().claim(str(step.task_id), attempt_header(step)) is None


@pytest.mark.parametrize("reported", [False, True])
def test_a_running_child_ends_at_its_next_report(run: Run, reported: bool) -> None:
    attempt = claim(run)
    if reported:
        attempt.report(Meta.at(1, 2))
    cancel(run.pk)
    assert states(run)[1:] == ["RUNNING", "CANCELLED", "CANCELLED"]

    with pytest.raises(AttemptLost):
        attempt.report(Meta.at(2, 2))
    attempt.abandon()

    assert states(run) == ["REVOKED", *["CANCELLED"] * 3]
    assert not TaskResult.objects.exclude(task_id=str(run.pk)).exists()


def test_a_child_that_finishes_first_keeps_its_outcome(run: Run) -> None:
    attempt = claim(run)
    cancel(run.pk)

    attempt.finish(Meta().ok(None))

    assert states(run) == ["REVOKED", "OK", "CANCELLED", "CANCELLED"]


def test_a_cancelled_child_is_not_tried_again(run: Run) -> None:
    Step.objects.update(retries=3)
    attempt = claim(run)
    cancel(run.pk)

    assert attempt.finish(Meta().failed("bad"), None, ValueError("bad"))

    assert states(run) == ["REVOKED", "ERROR", "CANCELLED", "CANCELLED"]


def test_the_last_child_that_finishes_after_all_makes_it_a_success(run: Run) -> None:
    for step in run.steps.all()[:2]:
        step.refresh_from_db()
        end_attempt(str(step.task_id), Meta().ok(None))
    last = run.steps.get(index=2)
    Step.objects.filter(pk=last.pk).update(state="RUNNING", started_at=Now())
    cancel(run.pk)

    end_attempt(str(last.task_id), Meta().ok(None))

    assert states(run) == ["SUCCESS", "OK", "OK", "OK"]


def test_a_step_that_is_claimed_during_the_cancel_is_cancelled_too(run: Run) -> None:
    late = [claim]

    def claim_first(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith('UPDATE "parent_step"') and late:
            late.pop()(run)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(claim_first):
        cancel(run.pk)

    assert not late

    assert states(run)[1:] == ["RUNNING", "CANCELLED", "CANCELLED"]
    assert first(run).due_at is not None


def test_a_child_that_never_reports_is_ended_after_the_grace(run: Run) -> None:
    claim(run)
    cancel(run.pk)
    due = first(run).due_at
    assert due is not None
    Step.objects.filter(pk=first(run).pk).update(due_at=Now() - timedelta(seconds=1))
    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)
    while not ticker.tick():
        pass

    assert states(run) == ["REVOKED", *["CANCELLED"] * 3]


def test_a_report_that_is_mirrored_late_does_not_put_the_grace_off(run: Run) -> None:
    attempt = claim(run)
    attempt.report(Meta.at(1, 2))
    cancel(run.pk)
    due = first(run).due_at

    mirror([attempt.task_id])

    assert first(run).due_at == due
    assert not TaskResult.objects.filter(task_id=attempt.task_id).exists()


def test_cancelling_twice_is_cancelling_once(run: Run) -> None:
    claim(run)

    cancel(run.pk)
    cancel(run.pk)

    assert Event.objects.filter(run=run).count() == 1


def test_an_ended_run_cannot_be_cancelled(run: Run) -> None:
    cancel(run.pk)

    with pytest.raises(RunEnded, match="REVOKED"):
        cancel(run.pk)


def test_an_unknown_run_cannot_be_cancelled() -> None:
    with pytest.raises(UnknownRun):
        cancel(uuid4())


def test_only_a_cancelled_runs_child_can_end_cancelled(run: Run) -> None:
    attempt = claim(run)

    assert not end_cancelled(attempt.task_id)
    assert not end_cancelled(str(uuid4()))
    assert first(run).state == "RUNNING"
