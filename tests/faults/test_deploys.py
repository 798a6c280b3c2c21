"""Workers are stopped by SIGTERM, and two versions of the code run side by side."""

import signal
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db.models.functions import Now

from examples.main_flow.workflows import main_flow
from parent.messages.publish import publish_run
from parent.models import Run, RunState, Step, StepState
from parent.runs.cancel import cancel
from parent.store import clock
from tests.faults.conftest import LEASE, Gate, StartWorker, until_watched
from tests.faults.invariants import assert_sound, bodies
from tests.flows import faults
from tests.system.conftest import step
from tests.waiting import ended, until
from tests.workers import Worker

POOLS = ("prefork", "threads", "solo")
# Without the tests' own apps: it knows none of their tasks and workflows.
OLD_CODE = {"DJANGO_SETTINGS_MODULE": "mainproj.settings", "SECRET_KEY": "only-for-tests"}


def waiting_messages() -> int:
    with current_app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        return int(channel.queue_declare(queue="celery").message_count)


def hasten(run: Run) -> bool:
    """Make the next tick check all that waits for a worker."""
    Step.objects.filter(run=run, state=StepState.QUEUED).update(due_at=Now())
    Run.objects.filter(pk=run.pk, due_at__isnull=False).update(due_at=Now())
    run.refresh_from_db()
    return run.ended


@pytest.mark.parametrize("pool", POOLS)
def test_a_worker_told_to_stop_ends_a_short_child_and_takes_no_other(
    start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    worker = start_worker(pool)
    run = faults.held.start(gate=gate.name)
    gate.reached()
    other = faults.held.start(gate=gate.name)

    worker.process.send_signal(signal.SIGTERM)
    worker.wait_for("Warm shutdown")
    gate.open()

    assert worker.process.wait(10) == 0
    assert step(run, "hold").state == StepState.OK
    assert [s.state for s in (step(run, "tail"), step(other, "hold"))] == [StepState.QUEUED] * 2
    assert waiting_messages() == 2
    start_worker()
    gate.reached()
    gate.open()
    assert {ended(r).state for r in (run, other)} == {RunState.SUCCESS}
    assert_sound(run, other)


@pytest.mark.parametrize("pool", POOLS)
def test_a_long_child_is_handed_back_where_it_may_run_again(
    start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    worker = start_worker(pool, WORKFLOW_SHUTDOWN_GRACE="0.5")
    run = faults.held_again.start(gate=gate.name)
    gate.reached()
    first = step(run, "hold").executor

    worker.process.send_signal(signal.SIGTERM)

    assert worker.process.wait(5) == 0
    given_back = step(run, "hold")
    assert (given_back.state, given_back.attempt, given_back.retries_used) == (
        StepState.QUEUED,
        2,
        0,
    )
    (earlier,) = given_back.attempts.all()
    assert earlier.error == f"hold: the worker {first} was shut down while running it"
    assert earlier.worker == str(first)
    start_worker()
    gate.reached()
    gate.open()
    assert ended(run).state == RunState.SUCCESS
    assert_sound(run)


def test_a_long_child_without_retries_is_an_error_that_says_why(
    start_worker: StartWorker, gate: Gate
) -> None:
    worker = start_worker("prefork", WORKFLOW_SHUTDOWN_GRACE="0.5")
    run = faults.held.start(gate=gate.name)
    gate.reached()

    worker.process.send_signal(signal.SIGTERM)

    assert worker.process.wait(5) == 0
    assert ended(run, timeout=1).error == (
        f"hold: the worker {step(run, 'hold').executor} was shut down while running it"
    )
    assert_sound(run)


def test_a_full_worker_hands_back_all_that_it_runs(start_worker: StartWorker, gate: Gate) -> None:
    worker = start_worker("prefork", slots=3, WORKFLOW_SHUTDOWN_GRACE="0.5")
    runs = [faults.held_again.start(gate=gate.name) for _ in range(3)]
    for _ in runs:
        gate.reached()

    worker.process.send_signal(signal.SIGTERM)

    assert worker.process.wait(5) == 0
    assert {step(run, "hold").state for run in runs} == {StepState.QUEUED}
    start_worker(slots=3)
    for _ in runs:
        gate.reached()
        gate.open()
    assert {ended(run).state for run in runs} == {RunState.SUCCESS}
    assert_sound(*runs)


@pytest.mark.parametrize("pool", POOLS)
def test_the_heart_beats_through_a_shutdown_longer_than_the_lease(
    watcher: Worker, start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    worker = start_worker(pool)
    run = faults.held_again.start(gate=gate.name)
    gate.reached()

    worker.process.send_signal(signal.SIGTERM)
    told_at = clock.now()

    def alive_after_its_lease() -> bool:
        executor = step(run, "hold").executor
        assert executor is not None, "the attempt was taken away"
        return executor.heartbeat_at > told_at + timedelta(seconds=1.25 * LEASE)

    until("a heartbeat", alive_after_its_lease)
    assert (step(run, "hold").state, step(run, "hold").attempt) == (StepState.RUNNING, 1)
    gate.open()
    assert worker.process.wait(10) == 0
    assert step(run, "hold").state == StepState.OK
    start_worker()
    assert ended(run).state == RunState.SUCCESS
    assert_sound(run)


def test_a_task_that_one_worker_does_not_know_waits_for_one_that_does(
    start_worker: StartWorker,
) -> None:
    old = start_worker("prefork", **OLD_CODE)
    until_watched()  # so that it is the old code that sends the messages again
    run = faults.unknown_task.start()
    old.wait_for("Received unregistered task")
    assert step(run, "tail").state == StepState.QUEUED

    start_worker()

    until("the end of the run", lambda: hasten(run))
    assert run.state == RunState.SUCCESS
    assert len(bodies()[str(run.pk), "tail"]) == 1
    assert_sound(run)


def test_a_workflow_that_one_worker_does_not_know_waits_for_one_that_does(
    start_worker: StartWorker,
) -> None:
    start_worker("prefork", **OLD_CODE)
    until_watched()
    run = faults.unknown_workflow.start()
    until("the end of the child that it knows", lambda: step(run, "func_1").state == StepState.OK)
    assert step(run, "tail").state == StepState.WAITING

    start_worker()

    until("the end of the run", lambda: hasten(run))
    assert run.state == RunState.SUCCESS
    assert_sound(run)


def test_a_task_that_nobody_knows_says_so_after_its_queue_timeout(
    start_worker: StartWorker,
) -> None:
    start_worker("threads", **OLD_CODE)

    run = ended(faults.unknown_task_at_last.start())

    assert run.error == (
        'tail did not start within 2 s: the worker that consumes queue "celery" '
        "does not know the task faults.tail"
    )
    assert_sound(run)


def test_a_workflow_that_nobody_knows_says_so_after_the_queue_timeout(
    start_worker: StartWorker,
) -> None:
    start_worker("threads", WORKFLOW_QUEUE_TIMEOUT="2", **OLD_CODE)

    run = ended(faults.unknown_workflow.start())

    assert run.error == (
        "unknown_workflow did not go on within 2 s: "
        "no worker that was asked knows the steps of this run"
    )
    assert_sound(run)


def test_late_messages_that_a_worker_does_not_know_change_nothing(
    start_worker: StartWorker,
) -> None:
    child, parent = faults.unknown_task.start(), faults.unknown_workflow.start()
    publish_run(parent)
    for run in (child, parent):
        cancel(run.pk)

    start_worker("threads", **OLD_CODE)

    # Messages are looked at in their order.
    after_them = ended(main_flow.start(limit=1))
    assert {ended(run, timeout=0).state for run in (child, parent)} == {RunState.REVOKED}
    assert_sound(child, parent, after_them)
