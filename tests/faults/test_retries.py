"""Failed steps are retried as their authors configured."""

import json

import pytest

from parent.models import Attempt, Run, RunState, Step
from tests.faults.conftest import StartWorker
from tests.faults.invariants import assert_sound, bodies
from tests.flows import faults
from tests.flows.tasks import gates
from tests.system.conftest import step
from tests.waiting import ended, until
from tests.workers import Worker


@pytest.fixture
def worker(start_worker: StartWorker) -> Worker:
    return start_worker()


def told_failures() -> list[str]:
    """The task ids that Celery's `task_failure` signal reported."""
    return [json.loads(line) for line in gates().lrange(faults.FAILURES, 0, -1)]


def delays(run: Run) -> list[float]:
    """Seconds from the end of each attempt until the next one was due; none began sooner."""
    row = step(run, "fail")
    earlier = list(row.attempts.all())
    later: list[Attempt | Step] = [*earlier[1:], row]
    found = []
    for one, other in zip(earlier, later, strict=True):
        assert one.finished_at is not None
        assert other.queued_at is not None
        assert other.started_at is not None
        assert other.started_at >= other.queued_at
        found.append((other.queued_at - one.finished_at).total_seconds())
    return found


def test_an_error_is_tried_again_until_it_passes(worker: Worker) -> None:
    run = ended(faults.failing_again.start(failures=2))

    assert run.state == RunState.SUCCESS
    row = step(run, "fail")
    assert (row.result, row.attempt, row.retries_used) == (3, 3, 2)
    assert [attempt.error for attempt in row.attempts.all()] == [
        "Error in fail: attempt 1",
        "Error in fail: attempt 2",
    ]
    for attempt in row.attempts.all():
        assert "Trouble: attempt" in attempt.traceback
        assert attempt.worker == str(row.executor)
        assert attempt.started_at is not None
    assert told_failures() == []
    assert_sound(run)


def test_retries_that_run_out_say_so_and_only_the_last_is_a_failure(worker: Worker) -> None:
    run = ended(faults.failing_again.start(failures=99))

    assert run.error == "Error in fail: attempt 3 (after 3 attempts)"
    row = step(run, "fail")
    assert [attempt.number for attempt in row.attempts.all()] == [1, 2]
    assert "Trouble: attempt 3" in row.traceback
    until("the failure", lambda: told_failures() == [row.task_id])  # the run has ended before
    assert_sound(run)


@pytest.mark.parametrize(("how", "error"), [("raise", "attempt 1"), ("ask", "not yet there")])
def test_a_step_without_retries_is_tried_once(worker: Worker, how: str, error: str) -> None:
    run = ended(faults.failing.start(failures=1, how=how))

    assert run.error == f"Error in fail: {error}"
    assert not step(run, "fail").attempts.exists()
    until("the failure", lambda: told_failures() == [step(run, "fail").task_id])
    assert_sound(run)


def test_the_delay_grows_with_each_retry(worker: Worker) -> None:
    run = ended(faults.patient.start(failures=2))

    assert run.state == RunState.SUCCESS
    assert delays(run) == pytest.approx([0.6, 0.6 * 3])
    assert_sound(run)


def test_only_the_named_exceptions_are_worth_a_retry(worker: Worker) -> None:
    named = faults.picky.start(failures=1)
    other = faults.picky.start(failures=1, how="unforeseen")

    assert ended(named).state == RunState.SUCCESS
    assert ended(other).error == "Error in fail: attempt 1"
    assert [step(run, "fail").attempt for run in (named, other)] == [2, 1]
    assert_sound(named, other)


def test_the_loss_of_a_worker_is_worth_a_retry_whatever_is_named(start_worker: StartWorker) -> None:
    start_worker("prefork")

    run = ended(faults.picky.start(failures=1, how="die"))

    assert run.state == RunState.SUCCESS
    assert_sound(run)


def test_a_child_may_ask_for_a_retry_and_for_its_delay(worker: Worker) -> None:
    run = ended(faults.failing_again.start(failures=2, how="ask"))

    assert run.state == RunState.SUCCESS
    assert delays(run) == pytest.approx([0.5, 0.5])
    assert {attempt.error for attempt in step(run, "fail").attempts.all()} == {
        "Error in fail: not yet there"
    }
    assert told_failures() == []
    assert_sound(run)


def test_a_child_that_asks_for_too_many_retries_is_told_so(worker: Worker) -> None:
    run = ended(faults.failing_again.start(failures=99, how="ask"))

    assert run.error == "Error in fail: not yet there (after 3 attempts)"
    assert len(bodies()[str(run.pk), "fail"]) == 3
    until("the failure", lambda: told_failures() == [step(run, "fail").task_id])
    assert_sound(run)
