"""Runs are cancelled at every moment of their lives."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest
from django.conf import LazySettings
from django.db import connection

from parent.errors import RunEnded
from parent.models import Run, RunState, StepState
from parent.runs.cancel import cancel
from tests.faults.conftest import Gate, StartWorker
from tests.faults.invariants import assert_sound, bodies
from tests.flows import faults
from tests.system.conftest import step
from tests.waiting import ended, until
from tests.workers import Worker

POOLS = ("prefork", "threads", "solo")


def took(run: Run) -> float:
    """Seconds from the cancel request to the end."""
    assert run.cancel_requested_at is not None
    assert run.finished_at is not None
    return (run.finished_at - run.cancel_requested_at).total_seconds()


def states(run: Run) -> list[str]:
    return [row.state for row in run.steps.all()]


def test_what_waits_and_what_is_queued_ends_at_once(start_worker: StartWorker, gate: Gate) -> None:
    run = faults.held.start(gate=gate.name)

    cancel(run.pk, who="ada")

    assert ended(run, timeout=0).state == RunState.REVOKED
    assert took(run) == 0
    assert states(run) == [StepState.CANCELLED] * 2
    worker = start_worker()
    worker.wait_for("dropped: a duplicate delivery")
    assert bodies() == {}
    assert_sound(run)


@pytest.mark.parametrize("pool", POOLS)
def test_a_child_that_reports_ends_at_its_next_report(
    start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    worker = start_worker(pool)
    run = faults.held_again.start(gate=gate.name)
    gate.reached()

    cancel(run.pk)

    assert ended(run).state == RunState.REVOKED
    assert took(run) < 2
    assert run.error == "hold was cancelled"
    assert states(run) == [StepState.CANCELLED] * 2
    worker.wait_for("stopped: the attempt no longer counts")
    assert_sound(run)


def test_a_silent_child_is_terminated_after_the_grace(
    watcher: Worker, start_worker: StartWorker, gate: Gate, settings: LazySettings
) -> None:
    settings.WORKFLOW_CANCEL_GRACE = 1
    start_worker("prefork")
    run = faults.held_again.start(gate=gate.name, reports=False)
    pid = gate.reached()
    process = psutil.Process(pid)

    cancel(run.pk)

    assert ended(run).state == RunState.REVOKED
    until("the end of its process", lambda: not process.is_running())
    # The pool has replaced it, and the worker goes on.
    again = faults.held.start(gate=gate.name)
    assert gate.reached() != pid
    gate.open()
    assert ended(again).state == RunState.SUCCESS
    assert len(bodies()[str(run.pk), "hold"]) == 1
    assert_sound(run, again)


def test_a_silent_child_that_nobody_can_terminate_is_given_up(
    start_worker: StartWorker, gate: Gate, settings: LazySettings
) -> None:
    settings.WORKFLOW_CANCEL_GRACE = 1
    worker = start_worker("threads")
    run = faults.held.start(gate=gate.name, reports=False)
    gate.reached()

    cancel(run.pk)

    assert ended(run).state == RunState.REVOKED
    assert took(run) < 5
    gate.open()
    worker.wait_for("outcome dropped: the attempt no longer counts")
    assert_sound(run)


def test_a_cancel_that_races_the_finish_leaves_one_end(
    start_worker: StartWorker, broker: str
) -> None:
    start_worker(slots=8)
    gates = [Gate(f"gate-{i}") for i in range(8)]
    runs = [faults.held_last.start(gate=gate.name) for gate in gates]
    for gate in gates:
        gate.reached()

    def race(run: Run, gate: Gate) -> None:
        try:
            gate.open()
            with suppress(RunEnded):
                cancel(run.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(race, runs, gates))

    assert {ended(run).state for run in runs} <= {RunState.SUCCESS, RunState.REVOKED}
    assert_sound(*runs)


def test_a_retry_that_is_cancelled_does_not_come_back(start_worker: StartWorker) -> None:
    start_worker()
    run = faults.patient.start(failures=99)
    until("the delayed attempt", lambda: step(run, "fail").attempt == 2)

    cancel(run.pk)

    assert ended(run, timeout=0).state == RunState.REVOKED
    assert states(run) == [StepState.CANCELLED]
    assert len(bodies()[str(run.pk), "fail"]) == 1
    assert_sound(run)


def test_a_run_that_has_ended_cannot_be_cancelled(start_worker: StartWorker) -> None:
    start_worker()
    run = ended(faults.failing.start(failures=0))

    with pytest.raises(RunEnded, match="SUCCESS"):
        cancel(run.pk)

    assert_sound(run)
