"""Whoever holds a place of a limit is killed: the next in line has it within the lease."""

import os
import signal
from collections.abc import Callable

import pytest

from parent import Workflow
from parent.models import Place, RunState
from parent.runs.cancel import cancel
from tests.faults.conftest import Gate, StartWorker
from tests.faults.invariants import assert_sound
from tests.faults.test_kills import KILLS
from tests.flows import faults
from tests.system.conftest import step
from tests.waiting import ended, until
from tests.workers import Worker


@pytest.mark.parametrize("flow", [faults.held_alone, faults.held_items], ids=["step", "item"])
@pytest.mark.parametrize(("pool", "kill"), KILLS)
def test_a_killed_holder_frees_its_place(
    watcher: Worker,
    start_worker: StartWorker,
    gate: Gate,
    pool: str,
    kill: Callable[[Worker], None],
    flow: Workflow,
) -> None:
    doomed = start_worker(pool)
    first = flow.start(gate=gate.name)
    gate.reached()
    second = flow.start(gate=gate.name)
    waits = Place.objects.get(taken_at=None)
    assert waits.run_id == second.pk

    kill(doomed)

    until("the place of the next", Place.objects.filter(pk=waits.pk, taken_at__isnull=False).exists)
    assert ended(first).state == RunState.FAILURE
    start_worker()
    gate.reached()
    gate.open()
    assert ended(second).state == RunState.SUCCESS
    assert_sound(first, second)


@pytest.mark.parametrize(("pool", "kill"), KILLS)
def test_a_kill_ends_the_run_that_the_process_has_gone_on_with(
    watcher: Worker,
    start_worker: StartWorker,
    gate: Gate,
    pool: str,
    kill: Callable[[Worker], None],
) -> None:
    """In the message of the run before it in line, which is done; the next has its turn."""
    doomed = start_worker(pool, WORKFLOW_TIME_SLICE="60")
    first, second, third = (faults.held_in_turn.start(gate=gate.name) for _ in range(3))
    gate.reached()
    gate.open()
    assert ended(first).state == RunState.SUCCESS
    gate.reached()
    assert step(second, "hold").carrier_id == step(first, "hold").task_id

    kill(doomed)

    assert ended(second).state == RunState.FAILURE
    start_worker()
    gate.reached()
    gate.open()
    assert ended(third).state == RunState.SUCCESS
    assert_sound(first, second, third)


def test_a_holder_whose_process_is_stopped_loses_its_place(
    watcher: Worker, start_worker: StartWorker, gate: Gate
) -> None:
    """It goes on after its lease: what it writes changes nothing, and it holds no place."""
    stopped = start_worker("threads")
    its_own = Gate("of the stopped")  # it goes on, and would take the opening of the other
    first = faults.held_alone.start(gate=its_own.name)
    its_own.reached()
    second = faults.held_alone.start(gate=gate.name)
    os.kill(stopped.process.pid, signal.SIGSTOP)
    try:
        start_worker()
        gate.reached()
        assert ended(first).state == RunState.FAILURE
        assert Place.objects.get(run_id=second.pk).taken_at is not None
    finally:
        os.kill(stopped.process.pid, signal.SIGCONT)
    gate.open()
    assert ended(second).state == RunState.SUCCESS


def test_a_cancelled_holder_frees_its_place_when_it_has_ended(
    watcher: Worker, start_worker: StartWorker, gate: Gate
) -> None:
    start_worker("prefork")
    first = faults.held_alone.start(gate=gate.name)
    gate.reached()
    second = faults.held_alone.start(gate=gate.name)

    cancel(first.pk, grace=0.5)

    assert ended(first).state == RunState.REVOKED
    gate.reached()
    gate.open()
    assert ended(second).state == RunState.SUCCESS
    assert_sound(first, second)
