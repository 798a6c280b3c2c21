"""Workers die, are told to stop or to cancel, while each item of a mapped step is a run."""

import signal
from collections import Counter

import pytest

from parent.models import Item, Run, RunState, Step
from parent.runs.cancel import cancel
from parent.runs.user_retry.retry import retry
from tests.faults.conftest import Gate, StartWorker
from tests.flows.tasks import gates
from tests.flows.workflows import HELD, RUNS, mapped_over_runs
from tests.parent.items import check_items
from tests.system.conftest import step
from tests.waiting import ended, until
from tests.workers import Worker

pytestmark = pytest.mark.timeout(90)

POOLS = ("prefork", "threads")


def done(gate: Gate) -> Counter[int]:
    """How often the child of each item was done."""
    return Counter(int(n) for n in gates().lrange(f"{gate.name}:done", 0, -1))


def assert_all_ok(run: Run, gate: Gate) -> None:
    assert ended(run).state == RunState.SUCCESS, run.error
    assert run.result == sum(range(RUNS)) + RUNS * 100
    assert check_items(step(run, "each")) == {"ok": RUNS}
    inside = Run.objects.filter(parent_run=run)
    assert inside.count() == RUNS
    assert set(inside.values_list("state", "due_at")) == {(RunState.SUCCESS, None)}
    assert done(gate) == Counter(range(RUNS))


@pytest.mark.parametrize("pool", POOLS)
def test_one_slot_finishes_the_runs_of_all_items(
    start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    start_worker(pool)
    run = mapped_over_runs.start(gate=gate.name)
    gate.reached()
    gate.open()

    assert_all_ok(run, gate)
    assert set(Step.objects.values_list("attempt", flat=True)) == {1}


@pytest.mark.parametrize("pool", POOLS)
def test_a_killed_worker_costs_the_attempt_that_it_ran(
    watcher: Worker, start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    doomed = start_worker(pool)
    run = mapped_over_runs.start(gate=gate.name)
    gate.reached()

    doomed.kill()
    start_worker()
    gate.reached()
    gate.open()

    assert_all_ok(run, gate)
    held = Item.objects.get(step=step(run, "each"), index=HELD)
    again = Step.objects.filter(attempt__gt=1)
    assert [(each.name, each.run_id) for each in again] == [("item", held.child_run_id)]


def test_a_worker_that_stops_leaves_the_other_runs_to_the_next(
    watcher: Worker, start_worker: StartWorker, gate: Gate
) -> None:
    worker = start_worker()
    run = mapped_over_runs.start(gate=gate.name)
    gate.reached()

    worker.process.send_signal(signal.SIGTERM)
    worker.wait_for("Warm shutdown")
    gate.open()
    assert worker.process.wait(10) == 0
    start_worker()

    assert_all_ok(run, gate)
    assert set(Step.objects.values_list("attempt", flat=True)) == {1}


def test_a_cancel_in_the_middle_ends_all_runs_and_a_retry_goes_on_with_them(
    start_worker: StartWorker, gate: Gate
) -> None:
    start_worker()
    run = mapped_over_runs.start(gate=gate.name)
    gate.reached()

    cancel(run.pk)

    assert ended(run).state == RunState.REVOKED
    assert run.cancel_requested_at is not None
    assert run.finished_at is not None
    assert (run.finished_at - run.cancel_requested_at).total_seconds() < 2
    until("the ends of all runs", lambda: not Run.objects.filter(finished_at=None).exists())
    found = check_items(step(run, "each"))
    assert set(found) <= {"ok", "cancelled"}
    before = done(gate)

    retry(run.pk)
    gate.reached()
    gate.open()

    assert_all_ok(run, gate)
    assert before <= done(gate)


def test_a_broker_that_was_emptied_loses_no_run(start_worker: StartWorker, gate: Gate) -> None:
    run = mapped_over_runs.start(gate=gate.name)
    gates().flushdb()

    start_worker()
    gate.reached()
    gate.open()

    assert_all_ok(run, gate)
