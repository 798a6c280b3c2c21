"""What schedules cost a tick, what it counts, and two tickers at once."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from parent import Schedule, Step, Workflow
from parent.inline import continue_inline, run_inline
from parent.models import Executor, Firing, Run
from parent.models import Schedule as Row
from parent.schedules.control import run_now
from parent.schedules.sync import sync
from parent.schedules.ticks import fire_due, prune_firings
from parent.telemetry.metrics import Metrics, metrics
from parent.watch.tick import Ticker
from tests.flows.context import ask_time
from tests.schedules.conftest import HOUR, NOON, at, end

pytestmark = pytest.mark.django_db

Hourly = Callable[..., Row]


def test_with_none_of_5_000_schedules_due_a_tick_takes_one_statement_by_its_index(
    hourly: Hourly,
) -> None:
    row = hourly()
    later = datetime.now(UTC) + HOUR
    Row.objects.update(next_at=later, due_at=later)
    Row.objects.bulk_create(
        (
            Row(workflow="hourly", name=f"s{number}", cron="0 * * * *", next_at=later, due_at=later)
            for number in range(5_000)
        ),
        batch_size=1_000,
    )
    Firing.objects.bulk_create(
        (
            Firing(schedule=row, nominal_at=NOON - HOUR * number, state="SKIPPED")
            for number in range(1, 5_000)
        ),
        batch_size=1_000,
    )

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with CaptureQueriesContext(connection) as captured:
        fire_due()

    [query] = captured.captured_queries
    explain = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
    with connection.cursor() as cursor:
        cursor.execute(explain + query["sql"])
        plan = "\n".join(str(line) for line in cursor.fetchall())
    assert "schedule_due" in plan
    assert "firing_waiting" in plan


def test_a_tick_of_the_watch_enters_what_the_code_has_and_starts_what_is_due(
    declare: Callable[..., None],
) -> None:
    declare(Schedule(every=1))
    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)

    while not ticker.tick():  # the first one makes the row of the lease
        pass
    row = Row.objects.get()
    Row.objects.update(due_at=row.next_at and row.next_at - timedelta(seconds=5))
    Row.objects.update(next_at=row.next_at and row.next_at - timedelta(seconds=5))
    ticker.tick()

    assert Firing.objects.filter(state="STARTED").count() == 1
    assert Run.objects.get().workflow == "hourly"


def test_a_child_reads_the_time_that_its_run_is_for(own_registry: None) -> None:
    inner = Workflow("inner", steps=[Step(ask_time)], result=lambda run: run.results["ask_time"])
    steps = [Step(ask_time, name="here"), Step(inner, name="inside")]
    hourly = [Schedule("0 * * * *")]
    workflow = Workflow("times", steps=steps, schedules=hourly, result=lambda run: run.results)
    sync()
    row = Row.objects.get()
    Row.objects.update(next_at=NOON, due_at=NOON)
    fire_due(at(0.5))

    scheduled = continue_inline(Run.objects.get(parent_run=None))
    by_hand = run_inline(workflow)
    run_now(row.pk, who="ana")
    now = continue_inline(Run.objects.filter(parent_run=None).latest("created_at"))

    assert scheduled.result == {"here": str(NOON), "inside": str(NOON)}
    assert by_hand.result == {"here": "None", "inside": "None"}
    assert now.result["here"] == str(Firing.objects.get(run=now).nominal_at)


def test_a_tick_counts_what_was_started_and_why_others_were_not(hourly: Hourly) -> None:
    metrics.take()
    hourly()
    fire_due(at(0.5))
    fire_due(at(60.1))
    fire_due(at(60 * 6 + 0.5))
    Row.objects.update(params={"limit": 0}, next_at=at(480), due_at=at(480))
    end(Run.objects.get())
    fire_due(at(480.1))

    figures = metrics.take()

    assert figures["workflow_schedule_fired"] == {'["hourly", "default"]': [1]}
    assert figures["workflow_schedule_skipped"] == {
        '["hourly", "default", "overlap"]': [2],
        '["hourly", "default", "missed"]': [4],
        '["hourly", "default", "refused"]': [1],
    }
    [late] = figures["workflow_schedule_late_seconds"].values()
    assert late[0] == pytest.approx(30)
    Metrics().add(figures)


def test_old_rows_go_after_their_runs(hourly: Hourly) -> None:
    hourly()
    fire_due(at(0.1))
    fire_due(at(60.1))
    old = datetime.now(UTC) - timedelta(days=2)
    Firing.objects.update(at=old)

    assert prune_firings(timedelta(days=3), at_most=9) == 0
    assert prune_firings(timedelta(days=1), at_most=9) == 1
    assert Firing.objects.get().state == "STARTED"
    Firing.objects.update(run=None)
    assert prune_firings(timedelta(days=1), at_most=9) == 1


@pytest.mark.django_db(transaction=True)
def test_two_tickers_at_the_same_moment_start_each_time_once(hourly: Hourly) -> None:
    hourly()
    Row.objects.bulk_create(
        Row(workflow="hourly", name=f"s{number}", cron="0 * * * *", next_at=NOON, due_at=NOON)
        for number in range(20)
    )
    together = threading.Barrier(2, timeout=30)
    errors: list[BaseException] = []

    def ticks() -> None:
        try:
            together.wait()
            while Row.objects.filter(due_at__lte=at(1)).exists():
                fire_due(at(0.5))
        except BaseException as exc:
            errors.append(exc)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ticks) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert Run.objects.count() == Firing.objects.filter(state="STARTED").count() == 21
