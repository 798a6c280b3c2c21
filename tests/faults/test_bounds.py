"""During long faults the broker does not fill up, and old rows are deleted."""

import json
import os
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db.models import F
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from children.meta import Meta
from parent.models import Executor, Run, RunState, Step, StepState
from parent.runs.endings import end_attempt
from parent.watch import tick
from parent.watch.tick import Ticker
from tests.faults.conftest import Gate, StartWorker
from tests.faults.invariants import assert_sound
from tests.flows import faults, workflows
from tests.flows.tasks import gates
from tests.system.conftest import step
from tests.waiting import ended, until

QUEUED = int(os.environ.get("QUEUED", "200"))
"""Number of waiting steps. With 5,000, the promised size, the test takes some minutes."""

MONTH = timedelta(days=31)


@pytest.fixture
def executor(db: None) -> Executor:
    return Executor.objects.create(host="here", pid=1)


@pytest.fixture
def ticker(executor: Executor) -> Ticker:
    """A ticker that holds the watch lease."""
    ticker = Ticker(executor.pk)
    while not ticker.tick():
        pass
    return ticker


def pass_time(ticker: Ticker, seconds: float) -> None:
    """Simulate that much waiting time by moving back the times of queued steps, and of the last
    counts of queues.
    """
    past = timedelta(seconds=seconds)
    counted = ticker._republisher._complete_at
    counted.update({queue: at - past for queue, at in counted.items()})
    queued = Step.objects.filter(state=StepState.QUEUED)
    queued.update(due_at=F("due_at") - past, queued_at=F("queued_at") - past)


def take_one(executor: Executor) -> None:
    """Do what the one slow slot does: take the next message, claim its step and end it."""
    message: Any = gates().rpop("celery")
    if message is None:
        return
    task_id = json.loads(message)["headers"]["id"]
    if Step.objects.filter(task_id=task_id, state=StepState.QUEUED).update(
        state=StepState.RUNNING, executor=executor, started_at=Now()
    ):
        end_attempt(task_id, Meta().failed("enough"))


def test_republishing_never_floods_a_busy_queue(
    broker: str, ticker: Ticker, executor: Executor
) -> None:
    for _ in range(QUEUED):
        workflows.noops.start()
    Step.objects.update(queue_timeout=None)
    most = 0.0

    for turn in range(60):  # of ten seconds each
        if turn in (20, 40):
            gates().flushall()
        if turn in (10, 30, 50):  # taken by a worker that dies before its claim
            for _ in range(QUEUED // 10):
                gates().rpop("celery")
        pass_time(ticker, 10)
        ticker.tick()
        waiting = Step.objects.filter(state=StepState.QUEUED).count()
        held: Any = gates().llen("celery")
        most = max(most, held / waiting)
        take_one(executor)

    assert waiting > QUEUED - 60
    assert held >= waiting  # what was lost was sent again
    assert most <= 2, f"the broker held {most:.2f} messages per queued step"


def test_a_silent_run_is_looked_for_less_and_less(broker: str, ticker: Ticker) -> None:
    """If every message is lost, the time between two tries grows."""
    workflows.noops.start()
    Step.objects.update(queue_timeout=None)
    sent = 0

    for _ in range(120):  # ten minutes
        gates().delete("celery")  # what a worker that dies before its claim does to one message
        pass_time(ticker, 5)
        ticker.tick()
        found: Any = gates().llen("celery")
        sent += found

    assert 15 <= sent <= 25


def age(run: Run) -> None:
    """Let it have ended a month ago."""
    Run.objects.filter(pk=run.pk).update(finished_at=Now() - MONTH)


def an_ended_run() -> Run:
    run = workflows.broken.start()
    first = step(run, "noop")
    end_attempt(str(first.task_id), Meta().failed("it is over"))
    run.refresh_from_db()
    assert run.ended
    return run


def test_a_tick_prunes_old_runs_a_few_at_a_time(
    ticker: Ticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tick, "PRUNE_BATCH", 3)
    young, active = an_ended_run(), workflows.noops.start()
    old = [an_ended_run() for _ in range(5)]
    for run in old:
        age(run)
    Run.objects.filter(pk=active.pk).update(created_at=Now() - MONTH)
    left = []

    for _ in range(3):
        ticker._sweep_at = 0.0  # the next sweep is due
        ticker.tick()
        left.append(Run.objects.filter(pk__in=[run.pk for run in old]).count())

    assert left == [2, 0, 0]
    assert set(Run.objects.all()) == {young, active}
    ids = {str(young.pk), str(active.pk)}
    assert set(TaskResult.objects.values_list("task_id", flat=True)) == ids


def test_celerys_own_cleanup_does_not_hurt_a_live_run(
    start_worker: StartWorker, gate: Gate
) -> None:
    start_worker()
    run = faults.held.start(gate=gate.name)
    gate.reached()
    child = until("a report", lambda: TaskResult.objects.filter(task_name="faults.hold").first())
    TaskResult.objects.update(date_done=Now() - MONTH)

    current_app.backend.cleanup()

    assert TaskResult.objects.filter(task_id__in=[run.pk, child.task_id]).count() == 2
    gate.open()
    assert ended(run).state == RunState.SUCCESS
    assert_sound(run)
