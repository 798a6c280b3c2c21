"""Everything ends: what never starts, hangs, falls silent or dies becomes an ERROR."""

import os
import signal
from typing import Any

import pytest
from celery import current_app
from django_celery_results.models import TaskResult

from parent.models import Run, RunState, StepState
from tests.conftest import use_broker
from tests.flows import workflows
from tests.flows.tasks import gates
from tests.system.conftest import Gate, StartWorker, step
from tests.waiting import ended, until
from tests.workers import Worker


def test_a_child_that_never_starts(worker: Worker) -> None:
    run = ended(workflows.nobody.start())

    assert run.state == RunState.FAILURE
    assert run.error == (
        'noop did not start within 1 s: is a worker consuming queue "nobody-consumes-this"?'
    )


@pytest.mark.parametrize(
    ("workflow", "error"),
    [
        ("too_long", "gated did not finish within 1 s"),
        ("stalls", "gated has not reported for 1 s"),
        ("whole_too_long", "whole_too_long did not finish within 1 s"),
    ],
)
def test_a_child_that_takes_too_long(worker: Worker, gate: Gate, workflow: str, error: str) -> None:
    run = ended(getattr(workflows, workflow).start(gate=gate.name))

    assert run.error is not None
    assert run.error.startswith(error)
    gate.open()
    # Its process still runs it to the end; then its outcome is dropped.
    worker.wait_for("no longer counts")
    run.refresh_from_db()
    assert run.state == RunState.FAILURE
    assert not TaskResult.objects.exclude(task_id=str(run.pk)).exists()


def test_a_child_whose_process_dies(start_worker: StartWorker) -> None:
    start_worker("-P", "prefork", "-c", "1")

    run = ended(workflows.deadly.start())

    assert run.error is not None
    assert run.error.startswith("dies: the worker process died while running it")
    assert "SIGKILL" in run.error
    assert step(run, "never").state == StepState.SKIPPED
    assert not TaskResult.objects.exclude(task_id=str(run.pk)).exists()
    # The worker has replaced the process, and goes on.
    assert ended(workflows.noops.start()).state == RunState.SUCCESS


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_child_that_ends_by_what_is_no_exception(start_worker: StartWorker, pool: str) -> None:
    start_worker("-P", pool, "-c", "1")

    run = ended(workflows.broken_off.start())

    assert run.state == RunState.FAILURE
    for name in ("cancelled", "interrupted"):
        assert step(run, name).error == f"Error in {name}: broken off"
    assert ended(workflows.noops.start()).state == RunState.SUCCESS


def test_a_child_whose_whole_worker_dies(start_worker: StartWorker, gate: Gate) -> None:
    short: dict[str, str] = {"WORKFLOW_LEASE": "2", "WORKFLOW_HEARTBEAT": "0.5"}
    doomed = start_worker("-P", "threads", "-c", "1", **short)
    run = workflows.gate.start(gate=gate.name)
    gate.reached()
    started = until("its executor", lambda: step(run, "gated").executor)

    doomed.kill()
    start_worker("-P", "threads", "-c", "1", **short)

    assert ended(run).error == f"gated: the worker {started} died while running it"


def test_messages_that_the_broker_lost_are_published_again(
    start_worker: StartWorker, gate: Gate
) -> None:
    start_worker("-P", "threads", "-c", "1")
    first = workflows.gate.start(gate=gate.name)
    gate.reached()
    waiting = [workflows.noops.start() for _ in range(5)]
    with current_app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        assert channel.queue_declare(queue="celery").message_count == 5
        gates().flushall()
        assert channel.queue_declare(queue="celery").message_count == 0

    gate.open()

    assert {ended(run).state for run in (first, *waiting)} == {RunState.SUCCESS}


def test_a_run_posted_while_the_broker_is_away_starts_when_it_is_back(
    start_worker: StartWorker, broker: str
) -> None:
    use_broker("redis://127.0.0.1:1")

    run = workflows.noops.start()

    assert Run.objects.get(pk=run.pk).state == RunState.PENDING
    start_worker("-P", "threads", "-c", "1")
    assert ended(run).state == RunState.SUCCESS


def test_a_second_delivery_changes_nothing(start_worker: StartWorker, gate: Gate) -> None:
    from parent.messages.publish import publish_run, publish_steps

    worker = start_worker("-P", "threads", "-c", "2")
    run = workflows.gate.start(gate=gate.name)
    gate.reached()

    publish_run(run)
    publish_steps([step(run, "gated")])

    worker.wait_for("dropped: a duplicate delivery")
    gate.open()
    assert ended(run).state == RunState.SUCCESS
    assert gates().llen("gate:reached") == 0  # the body ran once


def test_a_stopped_worker_hands_over_the_watch(start_worker: StartWorker, gate: Gate) -> None:
    first = start_worker("-P", "threads", "-c", "1", "-n", "first@%h")
    start_worker("-P", "threads", "-c", "1", "-n", "second@%h")
    os.kill(first.process.pid, signal.SIGTERM)
    first.process.wait(30)

    run = workflows.nobody.start()

    assert ended(run, timeout=15).state == RunState.FAILURE
