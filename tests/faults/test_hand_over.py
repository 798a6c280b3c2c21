"""Children that follow one another in one process, and what ends them there."""

import os
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from celery import current_app

from parent.models import Run, RunState, StepState
from tests.faults.conftest import Gate, StartWorker
from tests.faults.invariants import assert_sound
from tests.flows import faults, workflows
from tests.system.conftest import step
from tests.waiting import ended, until

POOLS = ("prefork", "threads", "solo")


@pytest.fixture
def start_worker(start_worker: StartWorker) -> StartWorker:
    """Starts workers whose children follow one another, however busy the machine is."""
    return partial(start_worker, WORKFLOW_TIME_SLICE="60")


def held_as_follower(gate: Gate) -> tuple[Run, int]:
    """A run whose second step waits at the gate in the message of the first; its process."""
    run = faults.handed_over.start(gate=gate.name)
    process = gate.reached()
    assert step(run, "hold").carrier_id == step(run, "head").task_id
    return run, process


@contextmanager
def received_events() -> Iterator[dict[str, list[str]]]:
    """The kinds of the events of each task, by its id, as Flower receives them."""
    received: dict[str, list[str]] = defaultdict(list)
    over = threading.Event()

    def note(event: dict[str, Any]) -> None:
        received[event["uuid"]].append(event["type"])

    with current_app.connection_for_read() as connection:
        receiver: Any = current_app.events.Receiver(
            connection, handlers=dict.fromkeys(EVENTS, note)
        )

        def listen() -> None:
            with receiver.consumer_context() as (consuming, _, _):  # with a connection of its own
                ready.set()
                while not over.is_set():
                    with suppress(TimeoutError):
                        consuming.drain_events(timeout=0.2)

        ready, thread = threading.Event(), threading.Thread(target=listen, daemon=True)
        thread.start()
        ready.wait()
        yield received
        over.set()
        thread.join()


EVENTS = ("task-received", "task-started", "task-succeeded", "task-failed")


@pytest.mark.parametrize("pool", POOLS)
def test_short_children_need_one_message(start_worker: StartWorker, pool: str) -> None:
    worker = start_worker(pool)

    run = ended(workflows.noops.start())

    first, *others = run.steps.all()
    assert first.message_id is None
    assert {other.message_id for other in others} == {first.task_id}
    assert "received" in worker.wait_for(f"[{first.task_id}] received")
    for other in others:
        worker.wait_for(f"flows.noop[{other.task_id}] succeeded")


def test_a_killed_process_ends_the_child_that_it_really_ran(
    start_worker: StartWorker, gate: Gate
) -> None:
    start_worker("prefork")
    run, process = held_as_follower(gate)
    held = step(run, "hold")

    os.kill(process, signal.SIGKILL)
    gate.reached()
    gate.open()

    assert ended(run).state == RunState.SUCCESS
    (lost,) = step(run, "hold").attempts.all()
    assert lost.task_id == held.task_id
    assert "the worker process died while running it" in lost.error
    assert_sound(run)


@pytest.mark.parametrize("which", ["its own id", "the message's id", "the run's id"])
def test_a_revoke_ends_the_child_that_follows(
    start_worker: StartWorker, gate: Gate, which: str
) -> None:
    start_worker("prefork")
    run, _ = held_as_follower(gate)
    held = step(run, "hold")
    ids = {"its own id": held.task_id, "the message's id": held.message_id, "the run's id": run.pk}

    current_app.control.revoke(str(ids[which]), terminate=True)

    assert ended(run).state == RunState.REVOKED
    assert step(run, "hold").state == StepState.CANCELLED
    assert ended(workflows.noops.start()).state == RunState.SUCCESS
    assert_sound(run, *Run.objects.exclude(pk=run.pk))


@pytest.mark.parametrize("pool", POOLS)
def test_a_worker_that_stops_hands_nothing_over(
    start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    worker = start_worker(pool)
    run, _ = held_as_follower(gate)

    worker.process.send_signal(signal.SIGTERM)
    worker.wait_for("Warm shutdown")
    gate.open()

    assert worker.process.wait(10) == 0
    assert step(run, "hold").state == StepState.OK
    after = step(run, "tail")
    assert (after.state, after.message_id) == (StepState.QUEUED, None)
    start_worker()
    assert ended(run).state == RunState.SUCCESS
    assert_sound(run)


def test_a_child_that_outlasts_the_slice_is_followed_by_a_message(
    start_worker: StartWorker, gate: Gate
) -> None:
    start_worker(WORKFLOW_TIME_SLICE="0.3")
    run, _ = held_as_follower(gate)
    # It counts turns of a tenth of a second.
    until("half a second", lambda: step(run, "hold").iteration > 4)

    gate.open()

    assert ended(run).state == RunState.SUCCESS
    assert step(run, "tail").message_id is None


@pytest.mark.parametrize(
    "options",
    [("--max-tasks-per-child", "50"), ("--time-limit", "60"), ("--soft-time-limit", "60")],
)
def test_what_celery_counts_by_messages_needs_messages(
    start_worker: StartWorker, options: tuple[str, str]
) -> None:
    start_worker("prefork", *options)

    run = ended(workflows.noops.start())

    assert {other.message_id for other in run.steps.all()} == {None}


def test_limits_that_remote_control_sets_count_from_the_next_message(
    start_worker: StartWorker,
) -> None:
    start_worker("prefork")
    limit = partial(current_app.control.rate_limit, "flows.noop", "100/s", reply=True, timeout=1)
    until("the limit", limit)  # a worker that has just begun may not listen yet

    run = ended(workflows.noops.start())

    assert {other.message_id for other in run.steps.all()} == {None}


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_monitoring_sees_each_child_once(start_worker: StartWorker, gate: Gate, pool: str) -> None:
    start_worker(pool, "-E")
    with received_events() as received:
        run, _ = held_as_follower(gate)
        held = step(run, "hold")
        started = {"task-received", "task-started"}
        until("its start", lambda: started <= set(received[str(held.task_id)]))
        gate.open()
        ended(run)
        ids = [str(one.task_id) for one in run.steps.all()]
        until("the ends", lambda: all("task-succeeded" in received[id] for id in ids))

    for id in ids:
        assert sorted(received[id]) == ["task-received", "task-started", "task-succeeded"]
