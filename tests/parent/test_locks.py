"""If another transaction locks rows, a tick does the rest and tries those again later."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from children.meta import Meta
from parent.deletion.prune import prune
from parent.models import Executor, Run, Step
from parent.runs.endings import end_run
from parent.runs.user_retry.retry import retry
from parent.store import locks
from parent.watch.tick import Ticker
from parent.worker.bootstep import WatchThread
from parent.worker.host import Lost, lost_attempts
from tests.parent.conftest import claimed, one

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no locks of rows"),
]

HOUR = timedelta(hours=1)

Held = Callable[[Any], AbstractContextManager[None]]


@pytest.fixture
def held() -> Held:
    """Lock rows in another transaction."""

    @contextmanager
    def hold(rows: Any) -> Iterator[None]:
        holds, done = threading.Event(), threading.Event()

        def transact() -> None:
            try:
                with transaction.atomic():
                    assert list(rows.select_for_update())
                    holds.set()
                    done.wait(30)
            finally:
                connection.close()

        thread = threading.Thread(target=transact)
        thread.start()
        assert holds.wait(10)
        try:
            yield
        finally:
            done.set()
            thread.join()

    return hold


@pytest.fixture
def watch(executor: Executor) -> Iterator[WatchThread]:
    """A ticker that, as in the watch thread, does not wait for locks."""
    watch = WatchThread(executor.pk, [], "threads")
    while not watch._ticker.tick():
        pass
    watch._never_wait()
    yield watch
    connection.close()


def overdue(run: Run) -> None:
    Step.objects.filter(run=run, name="one").update(started_at=F("started_at") - HOUR, due_at=Now())


HELD_ROWS = [
    pytest.param(lambda run: Run.objects.filter(pk=run.pk), id="its run"),
    pytest.param(lambda run: Step.objects.filter(run=run), id="its steps"),
    pytest.param(lambda run: TaskResult.objects.filter(task_id=run.pk), id="its TaskResult"),
]


@pytest.mark.parametrize("rows_of", HELD_ROWS)
def test_a_limit_is_kept_beside_a_run_that_is_held(
    started: Any, watch: WatchThread, held: Held, rows_of: Callable[[Run], Any]
) -> None:
    first, second = started(run_timeout=60), started(run_timeout=60)
    for run in (first, second):
        claimed(run)
        overdue(run)
    Step.objects.filter(run=first, name="one").update(due_at=F("due_at") - HOUR)  # looked at first

    with held(rows_of(first)):
        watch.turn()
        assert one(second).state == "ERROR"
    watch._ticker._locked_runs = locks.LockedRuns()
    watch.turn()

    assert one(first).error == "one did not finish within 60 s"


@pytest.mark.parametrize("rows_of", HELD_ROWS)
def test_a_report_is_mirrored_beside_a_run_that_is_held(
    started: Any, watch: WatchThread, held: Held, rows_of: Callable[[Run], Any]
) -> None:
    first, second = started(), started()
    for run in (first, second):
        claimed(run).report(Meta.at(1, 2))

    with held(rows_of(first)):
        watch.turn()
        second.refresh_from_db()
        assert second.completion == 25.0
    watch.turn()

    first.refresh_from_db()
    assert first.completion == 25.0


def test_a_dead_executor_loses_its_attempts_beside_a_run_that_is_held(
    started: Any, watch: WatchThread, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = started(), started()
    dead = Executor.objects.create(host="there", pid=8)
    for run in (first, second):
        claimed(run)
    Step.objects.filter(name="one").update(executor=dead)
    Executor.objects.filter(pk=dead.pk).update(heartbeat_at=Now() - HOUR)
    watch._ticker._enforce_leases_from = 0

    with held(Run.objects.filter(pk=first.pk)):
        watch.turn()
        assert one(second).state == "ERROR"
        assert one(first).state == "RUNNING"


def test_a_lost_attempt_is_ended_when_its_run_is_free_again(
    started: Any, watch: WatchThread, held: Held
) -> None:
    run, other = started(), started()
    lost = claimed(run).task_id
    claimed(other).report(Meta.at(1, 2))
    lost_attempts.put(Lost(task_id=lost, reason="the worker process died", process_died=True))

    with held(Run.objects.filter(pk=run.pk)):
        watch.turn()
        other.refresh_from_db()
        assert other.completion == 25.0, "the rest of the turn is done all the same"
    watch.turn()

    assert one(run).error == "one: the worker process died"


def test_what_is_held_does_not_keep_others_from_being_looked_at(
    started: Any, watch: WatchThread, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if many locked runs are due first."""
    monkeypatch.setattr("parent.watch.tick.DUE_BATCH", 2)
    runs = [started(run_timeout=60) for _ in range(4)]
    for run in runs:
        claimed(run)
        overdue(run)
    ticker: Ticker = watch._ticker

    with held(Run.objects.filter(pk__in=[run.pk for run in runs[:3]])):
        for _ in range(3):
            ticker.tick()
        assert one(runs[3]).state == "ERROR"


def test_a_run_that_is_held_is_not_pruned_and_the_next_is(started: Any, held: Held) -> None:
    """The transaction that locks it may be retrying it."""
    runs = [started() for _ in range(3)]
    for run in runs:
        end_run(run.pk, "enough")
    Run.objects.update(finished_at=Now() - HOUR)

    with held(Run.objects.filter(pk=runs[0].pk)):
        assert prune(HOUR / 2, at_most=2) == 2
    assert list(Run.objects.all()) == [runs[0]]
    retry(runs[0].pk)
    assert prune(HOUR / 2, at_most=2) == 0
