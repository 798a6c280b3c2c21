"""Many workers: queues, priorities, rate limits, and workers that come and go in mid-run."""

from typing import Any

from parent.models import Executor, RunState, StepState, WatchLease
from tests.faults.invariants import assert_sound
from tests.flows import faults, workflows
from tests.ops.conftest import Gate, StartWorker
from tests.system.conftest import step
from tests.waiting import ended, until

TAKES_OVER_WITHIN = 20  # seconds; the lease of what it ran lasts for 30


def test_each_step_runs_on_a_worker_that_consumes_its_queue(start_worker: StartWorker) -> None:
    start_worker("-P", "threads", "-c", "1", "-n", "plain@here", "-Q", "plain")
    start_worker("-P", "prefork", "-c", "1", "-n", "gpu@there", "-Q", "gpu")

    runs = [workflows.two_queues.start() for _ in range(5)]

    for run in runs:
        assert ended(run).state == RunState.SUCCESS
        ran_on = [each.result for each in run.steps.order_by("index")]
        assert ran_on == ["plain@here", "gpu@there", "plain@here"]


def test_a_step_waits_for_a_worker_of_its_queue_that_comes_later(start_worker: StartWorker) -> None:
    start_worker("-P", "threads", "-c", "1", "-n", "plain@here", "-Q", "plain")
    run = workflows.two_queues.start()
    until("its turn", lambda: step(run, "there").state == StepState.QUEUED)
    assert step(run, "here").state == StepState.OK

    start_worker("-P", "threads", "-c", "1", "-n", "gpu@there", "-Q", "gpu")

    assert ended(run).state == RunState.SUCCESS
    assert step(run, "there").result == "gpu@there"


def test_workers_are_added_and_taken_away_in_mid_run(start_worker: StartWorker, gate: Gate) -> None:
    first = start_worker("-P", "threads", "-c", "1", "-n", "first@here")
    runs = [faults.held_last.start(gate=gate.name) for _ in range(4)]
    gate.reached()  # one runs, and three wait

    second = start_worker("-P", "threads", "-c", "1", "-n", "second@here")
    gate.reached()  # the second takes one of them
    # In this order, for a first that is free again before it hears of it would take another child,
    # and wait at a gate that nobody opens while it stops.
    first.ask_to_stop()
    first.wait_for("Warm shutdown")
    for _ in runs:
        gate.open()
    first.stop()
    assert Executor.objects.filter(pid=second.process.pid).exists()

    for run in runs:
        assert ended(run).state == RunState.SUCCESS
    assert_sound(*runs)
    by = {step(run, "hold").executor for run in runs}
    assert {executor.pid for executor in by if executor} == {first.process.pid, second.process.pid}


def test_of_what_waits_the_first_priority_goes_first(start_worker: StartWorker) -> None:
    run = workflows.ranked.start()  # all four wait before there is a worker

    start_worker("-P", "threads", "-c", "1")

    assert ended(run).state == RunState.SUCCESS
    order = sorted(run.steps.all(), key=lambda each: each.result or 0)
    assert [each.name for each in order] == ["first", "early", "late", "last"]


def test_a_message_of_low_priority_is_not_taken_for_lost(
    start_worker: StartWorker, gate: Gate
) -> None:
    worker = start_worker("-P", "threads", "-c", "1")
    held = workflows.gate.start(gate=gate.name)
    gate.reached()
    run = workflows.ranked.start()

    # By then a tick has looked for its messages.
    until("a look", lambda: all(each.publish_count > 1 for each in run.steps.all()))
    gate.open()

    assert ended(held).state == ended(run).state == RunState.SUCCESS
    assert "dropped: a duplicate delivery" not in worker.log.read_text()


def test_a_rate_limit_of_a_child_holds(start_worker: StartWorker) -> None:
    start_worker("-P", "threads", "-c", "3")

    run = ended(workflows.limited.start())

    assert run.state == RunState.SUCCESS
    times = sorted(float(each.result or 0) for each in run.steps.all())
    # On a busy machine one may begin late, and be nearer to the next: not all of them are.
    assert times[-1] - times[0] > 0.9 * (len(times) - 1)


def test_another_worker_watches_soon_after_the_watcher_was_killed(
    start_worker: StartWorker, gate: Gate
) -> None:
    workers = [start_worker("-P", "threads", "-c", "1", "-n", f"w{n}@here") for n in range(3)]
    lease = until("the watch", WatchLease.objects.filter(holder__isnull=False).first)
    holder = Executor.objects.get(pk=str(lease.holder))
    (doomed,) = [worker for worker in workers if worker.process.pid == holder.pid]

    doomed.kill()
    until(
        "another holder",
        WatchLease.objects.exclude(holder=holder.pk).filter(holder__isnull=False).exists,
        timeout=TAKES_OVER_WITHIN,
    )

    # It does hold the watch: no other worker mirrors reports.
    run = workflows.gate.start(gate=gate.name)
    gate.reached()
    until("a mirrored report", lambda: message_of(run) == "gated: waiting at the gate")
    gate.open()
    assert ended(run).state == RunState.SUCCESS


def message_of(run: Any) -> str:
    run.refresh_from_db()
    return str(run.message)
