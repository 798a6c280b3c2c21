"""A worker is suspended for longer than its lease and resumes after others have taken over."""

import os
import signal
from typing import Any

import pytest
from django.db.models import Model
from django_celery_results.models import TaskResult

from parent.models import Attempt, Event, Run, RunState, Step
from tests.faults.conftest import Gate, StartWorker
from tests.faults.invariants import assert_sound, bodies
from tests.flows import faults
from tests.system.conftest import step
from tests.waiting import ended, until
from tests.workers import Worker

POOLS = ("prefork", "threads")


def send_all(worker: Worker, signum: int) -> None:
    """To every process of it."""
    os.killpg(worker.process.pid, signum)


def all_rows() -> list[Any]:
    """All rows about runs."""
    models: list[type[Model]] = [Run, Step, Attempt, Event, TaskResult]
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def taken_over(run: Run, gate: Gate, zombie: Worker, start_worker: StartWorker) -> str:
    """Stop the worker of a held step until another one has begun it; the id of the lost attempt."""
    gate.reached()
    first = step(run, "hold")
    send_all(zombie, signal.SIGSTOP)
    start_worker()
    gate.reached()
    present = step(run, "hold")
    assert (present.attempt, present.executor != first.executor) == (2, True)
    return str(first.task_id)


@pytest.mark.parametrize("reports", [True, False], ids=["reports", "finishes"])
@pytest.mark.parametrize("pool", POOLS)
def test_a_zombie_that_wakes_after_the_end_changes_no_row(
    watcher: Worker, start_worker: StartWorker, gate: Gate, pool: str, reports: bool
) -> None:
    zombie = start_worker(pool)
    run = faults.held_again.start(gate=gate.name, reports=reports)
    lost = taken_over(run, gate, zombie, start_worker)
    gate.open()
    assert ended(run).state == RunState.SUCCESS
    before = all_rows()

    send_all(zombie, signal.SIGCONT)
    if not reports:
        gate.open()
    zombie.wait_for("the attempt no longer counts")

    assert all_rows() == before
    assert_sound(run, outlived=[lost])


@pytest.mark.parametrize("pool", POOLS)
def test_a_zombie_ends_at_its_next_report_while_another_is_at_work(
    watcher: Worker, start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    zombie = start_worker(pool)
    run = faults.held_again.start(gate=gate.name)
    lost = taken_over(run, gate, zombie, start_worker)
    present = step(run, "hold")

    send_all(zombie, signal.SIGCONT)
    zombie.wait_for("stopped: the attempt no longer counts")

    after = step(run, "hold")
    assert (after.state, after.task_id, after.executor) == (
        present.state,
        present.task_id,
        present.executor,
    )
    assert not TaskResult.objects.filter(task_id=lost).exists()
    gate.open()
    assert ended(run).state == RunState.SUCCESS
    assert len(bodies()[str(run.pk), "hold"]) == 2
    assert_sound(run, outlived=[lost])


def test_a_zombie_works_on_after_its_sleep(
    watcher: Worker, start_worker: StartWorker, gate: Gate
) -> None:
    zombie = start_worker("prefork")
    run = faults.held.start(gate=gate.name)
    gate.reached()
    first = step(run, "hold")
    send_all(zombie, signal.SIGSTOP)
    assert ended(run).error == f"hold: the worker {first.executor} died while running it"

    send_all(zombie, signal.SIGCONT)
    next_one = faults.held.start(gate=gate.name)
    gate.reached()
    gate.open()

    assert ended(next_one).state == RunState.SUCCESS
    assert_sound(run, next_one, outlived=[first.task_id])


def test_a_short_sleep_within_the_lease_costs_nothing(
    watcher: Worker, start_worker: StartWorker, gate: Gate
) -> None:
    sleeper = start_worker("prefork")
    run = faults.held.start(gate=gate.name)
    gate.reached()
    heard = until("its executor", lambda: step(run, "hold").executor).heartbeat_at

    send_all(sleeper, signal.SIGSTOP)
    send_all(sleeper, signal.SIGCONT)

    def beaten() -> bool:
        executor = step(run, "hold").executor
        return executor is not None and executor.heartbeat_at > heard

    until("the next heartbeat", beaten)
    gate.open()
    assert ended(run).state == RunState.SUCCESS
    assert step(run, "hold").attempt == 1
    assert_sound(run)
