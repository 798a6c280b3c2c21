"""Workers are killed, stopped and told to cancel in the middle of a mapped step."""

import json
import os
import signal
from collections import Counter

import pytest

from parent.models import Item, Run, RunState, StepState
from parent.runs.cancel import cancel
from tests.faults.conftest import Gate, StartWorker
from tests.flows.faults import FAILURES
from tests.flows.tasks import gates
from tests.flows.workflows import BROKEN, HELD, ITEMS, mapped, mapped_over_broken
from tests.parent.items import check_items
from tests.system.conftest import step
from tests.waiting import ended
from tests.workers import Worker

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
    start_worker(pool, slots=2, WORKFLOW_TIME_SLICE="60")
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


@pytest.mark.parametrize("pool", POOLS)
def test_a_cancel_ends_a_map_in_the_middle(
    start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    start_worker(pool)
    run = mapped.start(gate=gate.name)
    gate.reached()

    cancel(run.pk)

    assert ended(run).state == RunState.REVOKED
    assert run.cancel_requested_at is not None
    assert run.finished_at is not None
    assert (run.finished_at - run.cancel_requested_at).total_seconds() < 2
    found = check_items(step(run, "each"))
    assert set(found) <= {"ok", "cancelled"}
    assert found["cancelled"] >= 1
    assert done(gate).total() == found["ok"]


def test_a_broker_that_was_emptied_loses_no_item(start_worker: StartWorker, gate: Gate) -> None:
    run = mapped.start(gate=gate.name)
    gates().flushdb()

    start_worker()
    gate.reached()
    gate.open()

    assert_all_ok(run)
    assert once_each(gate)


def test_a_killed_process_costs_the_item_that_it_ran(start_worker: StartWorker, gate: Gate) -> None:
    start_worker("prefork")
    run = mapped.start(gate=gate.name)
    process = gate.reached()

    os.kill(process, signal.SIGKILL)
    gate.reached()
    gate.open()

    assert_all_ok(run)
    assert once_each(gate)
    held = Item.objects.get(step=step(run, "each"), index=HELD)
    (lost,) = held.attempts.all()
    assert "the worker process died while running it" in lost.error
    assert list(Item.objects.filter(step=step(run, "each"), attempt__gt=1)) == [held]


@pytest.mark.parametrize("pool", POOLS)
def test_items_that_fail_do_not_stop_their_chunk(
    start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    worker = start_worker(pool)

    run = ended(mapped_over_broken.start(gate=gate.name))

    assert run.state == RunState.SUCCESS, run.error
    good = set(range(ITEMS)) - {*BROKEN}
    assert run.result == sum(good)
    assert done(gate) == Counter(good)
    assert check_items(step(run, "each")) == {"ok": len(good), "failed": len(BROKEN)}
    items = Item.objects.filter(step=step(run, "each"))
    broken = list(items.filter(index__in=BROKEN))
    assert [item.error for item in broken] == [
        f"Error in each[{n}]: item {n} is broken" for n in BROKEN
    ]
    assert items.filter(index__range=(4, 7)).values("message_id").distinct().count() == 1
    # Celery knows of each failure once, whichever child of the message it was.
    known = [json.loads(task_id) for task_id in gates().lrange(FAILURES, 0, -1)]
    assert sorted(known) == sorted(str(item.task_id) for item in broken)
    assert ended(mapped_over_broken.start(gate=gate.name)).state == RunState.SUCCESS
    assert worker.process.poll() is None


@pytest.mark.parametrize(
    "options", [("--max-tasks-per-child", "2"), ("--time-limit", "60"), ("--soft-time-limit", "60")]
)
def test_where_celery_counts_by_messages_each_item_has_its_own(
    start_worker: StartWorker, gate: Gate, options: tuple[str, str]
) -> None:
    start_worker("prefork", *options, slots=2)
    run = mapped.start(gate=gate.name)
    gate.reached()
    gate.open()

    assert_all_ok(run)
    assert once_each(gate)
    items = list(Item.objects.filter(step=step(run, "each")))
    assert {item.attempt for item in items} == {1}
    assert all(item.message_id == item.task_id for item in items)


def test_a_deploy_in_the_middle_repeats_no_finished_item(
    watcher: Worker, start_worker: StartWorker, gate: Gate
) -> None:
    old = start_worker("prefork", slots=2, WORKFLOW_SHUTDOWN_GRACE="0.5")
    run = mapped.start(gate=gate.name)
    gate.reached()

    new = start_worker("prefork", slots=2)
    old.ask_to_stop()
    gate.reached()
    assert old.process.wait(10) == 0
    gate.open()

    assert_all_ok(run)
    assert once_each(gate)
    held = Item.objects.get(step=step(run, "each"), index=HELD)
    assert (held.attempt, held.retries_used) == (2, 0)
    assert held.executor is not None
    assert held.executor.pid == new.process.pid
    assert list(Item.objects.filter(step=step(run, "each"), attempt__gt=1)) == [held]
