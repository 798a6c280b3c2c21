"""Reports of a child's first moment: its end says all, or they are stored a moment later."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from django.db import connection, connections, transaction

from children.errors import AttemptLost
from children.meta import Meta
from parent.messages.publish import attempt_header
from parent.models import Executor, Run, StepState
from parent.runs.cancel import cancel
from parent.worker.attempt import unstored_report
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
    monkeypatch.setattr(unstored_report, "EARLY", 1000.0)


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
    monkeypatch.setattr(unstored_report, "EARLY", 1.0)
    attempt = attempt_on(thread, run := started(), interval=10)

    attempt.report(Meta.at(0, 3))
    attempt.report(Meta.at(1, 3), checkpoint=1)
    attempt.report(Meta.at(2, 3))

    until("the report", lambda: one(run).iteration == 2)


on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="others lock rows only")


@on_sqlite
def test_a_report_that_meets_a_locked_database_is_stored_after_it(
    started: Any, executor: Executor, thread: EngineThread, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = attempt_on(thread, run := started())
    thread.start(partial(execute, "PRAGMA busy_timeout = 1")).result()
    name = connection.settings_dict["NAME"]
    with closing(sqlite3.connect(name, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        attempt.report(HALF)

        until("the locked database", lambda: "report not stored" in caplog.text)

    until("the report", lambda: one(run).iteration == 1)


@on_sqlite
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("when", ["before it", "in it"])
def test_a_report_waits_for_the_end_of_the_bodys_transaction_and_nothing_else_does(
    started: Any, executor: Executor, thread: EngineThread, end: str, when: str
) -> None:
    attempt = attempt_on(thread, run := started())
    has_begun = threading.Event()
    thread.start(has_begun.wait)  # until then it stores nothing

    if when == "before it":
        attempt.report(HALF)
    with transaction_of_the_body(end):
        if when == "in it":
            attempt.report(HALF)
        looks = attempt._reporter._look
        has_begun.set()
        until("a look at it", lambda: attempt._reporter._look != looks)
        began = time.monotonic()
        assert attempt.context(lambda work: work()).params is not None
        assert time.monotonic() - began < 5

    until("the report", lambda: one(run).iteration == 1)


@on_sqlite
def test_the_newest_report_of_a_transaction_that_is_rolled_back_is_stored(
    started: Any, executor: Executor, thread: EngineThread
) -> None:
    attempt = attempt_on(thread, run := started(), interval=0)

    with suppress(ValueError), transaction.atomic():
        for iteration in (1, 2):
            Executor.objects.update(pid=iteration)
            attempt.report(Meta.at(iteration, 4))
        raise ValueError

    until("the report", lambda: one(run).iteration == 2)


@contextmanager
def transaction_of_the_body(end: str) -> Iterator[None]:
    execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        execute("ROLLBACK")
        raise
    execute(end)


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
    until_stored.set()
    thread.start(int).result()

    assert one(run).iteration == 1


@pytest.mark.parametrize("reports", [2, 3])
def test_a_report_that_comes_while_an_earlier_one_is_stored_waits_for_its_turn(
    started: Any, executor: Executor, thread: EngineThread, reports: int
) -> None:
    attempt = attempt_on(thread, run := started(), interval=0)
    is_slow, goes_on = threading.Event(), threading.Event()

    def slow(execute: Any, *args: Any) -> Any:
        is_slow.set()
        goes_on.wait()
        return execute(*args)

    with in_thread(thread, slow):
        for number in range(reports):
            attempt.report(Meta.at(number, 4))  # the first one waits for a second
        assert is_slow.is_set()
        goes_on.set()
        until("the last", lambda: one(run).iteration == reports - 1)


@contextmanager
def in_thread(thread: EngineThread, wrapper: Callable[..., Any]) -> Iterator[None]:
    """The wrapper around each statement of this thread."""
    wrappers: Any = thread.start(lambda: connection.execute_wrappers).result()
    wrappers.append(wrapper)
    yield
    wrappers.remove(wrapper)


@pytest.mark.usefixtures("long_moment")
def test_who_asks_for_a_report_each_time_gets_it(
    started: Any, executor: Executor, thread: EngineThread
) -> None:
    attempt = attempt_on(thread, run := started(), interval=0)

    attempt.report(HALF)

    assert one(run).iteration == 1


def test_that_an_attempt_no_longer_counts_is_learnt_by_the_next_report(
    started: Any, executor: Executor, thread: EngineThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unstored_report, "EARLY", 2.0)  # so that it is not over on a busy machine
    attempt = attempt_on(thread, run := started())
    cancel(run.pk)

    attempt.report(HALF)
    until("it is refused", lambda: attempt.lost)
    with pytest.raises(AttemptLost, match="no longer counts"):
        attempt.report(HALF)

    assert attempt.lost
    assert one(run).iteration == 0
