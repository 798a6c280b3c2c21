"""Reports of a child's first moment: its end says all, or they are stored a moment later."""

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connection, connections

from children.errors import AttemptLost
from children.meta import Meta
from parent.messages.publish import attempt_header
from parent.models import Executor, Run, StepState
from parent.runs.cancel import cancel
from parent.worker import running_attempt
from parent.worker.engine_thread import EngineThread
from parent.worker.running_attempt import RunningAttempt
from tests.parent.conftest import one
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

HALF = Meta.at(1, 2, "reading")


@pytest.fixture
def thread() -> Iterator[EngineThread]:
    thread = EngineThread()
    yield thread
    thread.start(connections.close_all).result()


@pytest.fixture
def long_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """So long that nothing is stored because it is over."""
    monkeypatch.setattr(running_attempt, "EARLY", 1000.0)


def attempt_on(thread: EngineThread, run: Run, **changed: Any) -> RunningAttempt:
    """The claimed attempt of a child that runs beside the engine's thread."""
    step = one(run)
    attempt = RunningAttempt(str(step.task_id), attempt_header(step) | changed, thread)
    assert attempt.claim()
    return attempt


def test_a_report_is_stored_when_the_moment_is_over(
    started: Any, executor: Executor, thread: EngineThread
) -> None:
    attempt = attempt_on(thread, run := started())

    attempt.report(Meta.at(0, 2, "opening"))
    attempt.report(HALF)

    until("the report", lambda: one(run).reported_at is not None)
    step = one(run)
    assert (step.iteration, step.total, step.message) == (1, 2, "reading")


@pytest.mark.usefixtures("long_moment")
def test_a_child_that_ends_meanwhile_stores_no_report(
    started: Any, executor: Executor, thread: EngineThread
) -> None:
    attempt = attempt_on(thread, run := started())

    attempt.report(HALF)
    attempt.finish(HALF.failed("Error in it: bad"))

    step = one(run)
    assert (step.state, step.reported_at) == (StepState.ERROR, None)
    assert (step.iteration, step.total, step.error) == (1, 2, "Error in it: bad")


@pytest.mark.usefixtures("long_moment")
def test_a_checkpoint_is_stored_at_once(
    started: Any, executor: Executor, thread: EngineThread
) -> None:
    attempt = attempt_on(thread, run := started())

    attempt.report(HALF)
    attempt.report(HALF, checkpoint={"row": 7})

    assert (one(run).checkpoint, one(run).iteration) == ({"row": 7}, 1)


def test_a_report_after_a_checkpoint_is_stored_when_the_moment_is_over(
    started: Any, executor: Executor, thread: EngineThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_attempt, "EARLY", 1.0)
    attempt = attempt_on(thread, run := started(), interval=10)

    attempt.report(Meta.at(0, 3))
    attempt.report(Meta.at(1, 3), checkpoint=1)
    attempt.report(Meta.at(2, 3))

    until("the report", lambda: one(run).iteration == 2)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="elsewhere no body locks the row so")
def test_a_report_that_meets_the_bodys_transaction_is_stored_after_it(
    started: Any, executor: Executor, thread: EngineThread, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = attempt_on(thread, run := started())
    thread.start(partial(execute, "PRAGMA busy_timeout = 1")).result()

    attempt.report(HALF)
    execute("BEGIN IMMEDIATE")
    until("the locked database", lambda: "report not stored" in caplog.text)
    execute("COMMIT")

    until("the report", lambda: one(run).iteration == 1)


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_an_early_report_does_not_replace_a_later_one(
    started: Any, executor: Executor, thread: EngineThread
) -> None:
    attempt = attempt_on(thread, run := started())
    until_stored = threading.Event()
    thread.start(until_stored.wait)
    attempt.report(Meta.at(0, 2))
    attempt.report(HALF, checkpoint=1)  # waits behind that thread's work, for a second
    attempt._begin_early_report()
    until_stored.set()
    thread.start(int).result()

    assert one(run).iteration == 1


@pytest.mark.usefixtures("long_moment")
def test_a_report_that_comes_while_an_earlier_one_is_stored_waits_for_its_turn(
    started: Any, executor: Executor, thread: EngineThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, later = attempt_on(thread, run := started(), interval=10), Meta.at(2, 2)
    attempt.report(HALF)
    store = attempt._store

    def store_meanwhile(meta: Meta, checkpoint: Any) -> bool:
        attempt._newest = later
        return store(meta, checkpoint)

    monkeypatch.setattr(attempt, "_store", store_meanwhile)
    attempt._begin_early_report()
    thread.start(int).result()

    assert one(run).iteration == 1
    assert attempt._newest is later
    attempt.finish(later.ok(None))  # or it would be stored after the test


@pytest.mark.usefixtures("long_moment")
def test_who_asks_for_a_report_each_time_gets_it(
    started: Any, executor: Executor, thread: EngineThread
) -> None:
    attempt = attempt_on(thread, run := started(), interval=0)

    attempt.report(HALF)

    assert one(run).iteration == 1


def test_that_an_attempt_no_longer_counts_is_learnt_by_the_next_report(
    started: Any, executor: Executor, thread: EngineThread
) -> None:
    attempt = attempt_on(thread, run := started())
    cancel(run.pk)

    attempt.report(HALF)
    until("it is stored, or not", lambda: attempt._report is not None and attempt._report.done())
    with pytest.raises(AttemptLost, match="no longer counts"):
        attempt.report(HALF)

    assert attempt.lost
    assert one(run).iteration == 0
