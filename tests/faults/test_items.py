"""Workers are killed, stopped and told to cancel in the middle of a mapped step."""

import signal
from collections import Counter

import pytest

from parent.models import Item, Run, RunState, StepState
from parent.runs.cancel import cancel
from tests.faults.conftest import Gate, StartWorker
from tests.flows.tasks import gates
from tests.flows.workflows import HELD, ITEMS, mapped
from tests.parent.items import check_items
from tests.system.conftest import step
from tests.waiting import ended, until
from tests.workers import Worker

pytestmark = pytest.mark.timeout(60)

POOLS = ("prefork", "threads")


def done(gate: Gate) -> Counter[int]:
    """How often each item was done."""
    return Counter(int(n) for n in gates().lrange(f"{gate.name}:done", 0, -1))


def once_each(gate: Gate) -> bool:
    return done(gate) == Counter(range(ITEMS))


def assert_all_ok(run: Run) -> None:
    assert ended(run).state == RunState.SUCCESS, run.error
    assert run.result == sum(range(ITEMS))
    assert check_items(step(run, "each")) == {"ok": ITEMS}


@pytest.mark.parametrize("pool", POOLS)
def test_a_worker_works_through_the_items(start_worker: StartWorker, gate: Gate, pool: str) -> None:
    start_worker(pool, slots=2)
    run = mapped.start(gate=gate.name)
    gate.reached()
    gate.open()

    assert_all_ok(run)
    assert once_each(gate)
    held = Item.objects.get(step=step(run, "each"), index=HELD)
    first = Item.objects.get(step=step(run, "each"), index=HELD - 1)
    assert held.message_id == first.message_id


@pytest.mark.parametrize("pool", POOLS)
def test_a_killed_worker_costs_the_item_that_it_ran(
    watcher: Worker, start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    doomed = start_worker(pool)
    run = mapped.start(gate=gate.name)
    gate.reached()

    doomed.kill()
    start_worker()
    gate.reached()
    gate.open()

    assert_all_ok(run)
    assert once_each(gate)
    held = Item.objects.get(step=step(run, "each"), index=HELD)
    (lost,) = held.attempts.all()
    assert (held.attempt, held.retries_used) == (2, 1)
    assert "died while running it" in lost.error
    assert Item.objects.filter(step=step(run, "each"), attempt__gt=1).count() == 1


@pytest.mark.parametrize("pool", POOLS)
def test_a_worker_that_stops_leaves_the_rest_of_its_chunk_to_others(
    watcher: Worker, start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    worker = start_worker(pool)
    run = mapped.start(gate=gate.name)
    gate.reached()

    worker.process.send_signal(signal.SIGTERM)
    worker.wait_for("Warm shutdown")
    gate.open()
    assert worker.process.wait(10) == 0
    items = Item.objects.filter(step=step(run, "each"))
    assert items.get(index=HELD).state == StepState.OK
    assert not items.filter(state=StepState.RUNNING).exists()
    start_worker()

    assert_all_ok(run)
    assert once_each(gate)
    assert not items.filter(attempt__gt=1).exists()


def test_a_cancel_ends_a_map_in_the_middle(start_worker: StartWorker, gate: Gate) -> None:
    start_worker("prefork")
    run = mapped.start(gate=gate.name)
    gate.reached()

    cancel(run.pk, grace=0.0)

    until("the end of the run", lambda: ended(run).state == RunState.REVOKED)
    found = check_items(step(run, "each"))
    assert set(found) <= {"ok", "cancelled"}
    assert found["cancelled"] >= 1


def test_a_broker_that_was_emptied_loses_no_item(start_worker: StartWorker, gate: Gate) -> None:
    run = mapped.start(gate=gate.name)
    gates().flushdb()

    start_worker()
    gate.reached()
    gate.open()

    assert_all_ok(run)
    assert once_each(gate)
