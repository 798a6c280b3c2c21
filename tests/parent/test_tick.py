"""For rows in a given state, one tick does the right thing, with a fixed number of statements."""

import math
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from django.db import connection
from django.db.models import AutoField, Model
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django_celery_results.models import TaskResult

from children.errors import AttemptLost
from children.meta import Meta
from parent.messages.publish import attempt_header
from parent.models import Executor, Run, RunState, Step, StepState, WatchLease
from parent.runs.endings import end_attempt, record
from parent.runs.start import start
from parent.store import leases
from parent.watch.queries import changed_results
from parent.watch.tick import CONNECT_TIMEOUT, Ticker
from parent.worker.host import ParentHost
from parent.worker.running_attempt import RunningAttempt
from tests.flows import workflows

pytestmark = pytest.mark.django_db


@pytest.fixture
def executor() -> Executor:
    return Executor.objects.create(host="here", pid=1)


@pytest.fixture
def ticker(executor: Executor) -> Ticker:
    return swept(executor)


def swept(executor: Executor) -> Ticker:
    """A ticker that holds the watch lease and has done its full comparison."""
    ticker = Ticker(executor.pk)
    while not ticker.tick():
        pass
    return ticker


attempts: dict[int, RunningAttempt] = {}
"""By the steps' keys."""


@pytest.fixture
def running(executor: Executor) -> Callable[[], Step]:
    """Start a run of `counting` and claim its child, as a worker does. It has no limit."""

    def begin_one() -> Step:
        run = start(workflows.counting, {"limit": 10})
        step = Step.objects.select_related("run").get(run=run)
        attempt = ParentHost().claim(str(step.task_id), attempt_header(step))
        assert attempt is not None
        attempts[step.pk] = attempt
        Step.objects.filter(pk=step.pk).update(executor=executor, due_at=None)
        return step

    return begin_one


def report(step: Step, iteration: int) -> None:
    attempts[step.pk].report(Meta.at(iteration, 10, "Counting"))


def celery_stores(step: Step, iteration: int) -> None:
    """A report as a foreign task makes it."""
    meta = Meta.at(iteration, 10).as_dict()
    current_app.backend.store_result(str(step.task_id), meta, "PROGRESS")


def ago(seconds: float) -> Any:
    return Now() - timedelta(seconds=seconds)


def statements(ticker: Ticker) -> list[str]:
    """The statements of an ordinary tick of an executor that has held the watch for some time.

    The grace periods are reset: on a slow machine the ticker may have seen a pause, and then it
    skips some of its checks.
    """
    leases.renew_heartbeat(ticker._executor_id)
    ticker._check_steps_from = ticker._enforce_leases_from = 0.0
    ticker._sweep_at = ticker._moved_at = math.inf
    with CaptureQueriesContext(connection) as captured:
        assert ticker.tick()
    return [query["sql"] for query in captured]


def copy(row: Model, changes: list[dict[str, Any]]) -> None:
    """More rows like this one but for these fields. An object for each would take most of the time
    of the test.
    """
    fields = {it.name: it for it in row._meta.concrete_fields if not isinstance(it, AutoField)}

    def stored(values: dict[str, Any]) -> dict[str, Any]:
        return {
            name: fields[name].get_db_prep_save(value, connection) for name, value in values.items()
        }

    same = stored({name: field.pre_save(row, add=False) for name, field in fields.items()})
    names = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields.values())
    marks = ", ".join(["%s"] * len(fields))
    statement = f"INSERT INTO {row._meta.db_table} ({names}) VALUES ({marks})"
    with connection.cursor() as cursor:
        cursor.executemany(statement, [[*(same | stored(each)).values()] for each in changes])


def many_running_runs(count: int, executor: Executor) -> None:
    """Rows of `count` runs in progress, without new reports."""
    run = Run.objects.create(workflow="counting", state=RunState.PROGRESS)
    step = Step.objects.create(
        run=run,
        index=0,
        name="counts",
        task="flows.counts",
        state=StepState.RUNNING,
        task_id=str(uuid4()),
        executor=executor,
    )
    stored = '{"iteration": 0, "total": null, "completion": 0.0, "status": "PROGRESS"}'
    result = TaskResult.objects.create(task_id=step.task_id, status="PROGRESS", result=stored)
    ids = [(uuid4(), str(uuid4())) for _ in range(count - 1)]
    copy(run, [{"id": run_id} for run_id, _ in ids])
    copy(step, [{"run": run_id, "task_id": task_id} for run_id, task_id in ids])
    copy(result, [{"task_id": task_id} for _, task_id in ids])
    now = TaskResult.objects.order_by("-date_done").values_list("date_done", flat=True)[0]
    Step.objects.filter(state=StepState.RUNNING).update(reported_at=now, mirrored_at=now)
    if connection.vendor == "postgresql":
        # As autovacuum would do soon: until then PostgreSQL may plan for the empty tables that
        # rolled-back tests left.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE parent_step, django_celery_results_taskresult")


def test_a_quiet_tick_costs_the_same_for_10_and_for_10_000_running_runs(
    executor: Executor,
) -> None:
    many_running_runs(10, executor)
    few = statements(swept(executor))

    many_running_runs(10_000, executor)
    many = statements(swept(executor))

    assert len(few) == len(many) == 2, "\n".join(many)


def test_a_quiet_tick_reads_no_old_rows_with_or_without_statistics(
    ticker: Ticker, running: Callable[[], Step]
) -> None:
    """Results and runs are kept for weeks; a tick takes those of late, by an index."""
    running()
    ticker.tick()  # it has seen all results that there are
    asked: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        ticker.tick()

    [(probe, params)] = [(sql, params) for sql, params in asked if sql.startswith("SELECT EXISTS")]
    assert '"date_done" > ' in probe
    if connection.vendor == "sqlite":  # PostgreSQL reads small tables whole
        # With its parameters: SQLite takes some indexes only for what stands in the text.
        plan = plan_of(probe, params)
        assert "INDEX run_due" in plan
        assert "date_done>?" in plan
        assert not re.search(r"SCAN parent_(run|step|item)\b(?! USING)", plan), plan


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads small tables whole")
def test_a_sweep_does_not_read_the_results_of_other_tasks(running: Callable[[], Step]) -> None:
    running()

    plan = changed_results(None).explain()

    assert re.search(r"SEARCH django_celery_results_taskresult USING.*task_id", plan), plan
    assert "SCAN django_celery_results_taskresult" not in plan


def plan_of(sql: str, params: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        return "\n".join(str(line) for line in cursor.fetchall())


@pytest.mark.parametrize("behind", [0, 20])
def test_a_result_of_a_clock_that_is_a_little_behind_is_found_by_the_next_tick(
    ticker: Ticker, running: Callable[[], Step], behind: float
) -> None:
    step = running()
    ticker.tick()
    celery_stores(step, 7)
    TaskResult.objects.filter(task_id=step.task_id).update(date_done=ago(behind))

    ticker.tick()

    step.refresh_from_db()
    assert step.iteration == 7


def test_a_busy_tick_takes_the_same_statements_for_2_and_for_200_reports(
    ticker: Ticker, running: Callable[[], Step]
) -> None:
    steps = [running() for _ in range(200)]
    for step in steps[:2]:
        report(step, 1)
    few = statements(ticker)
    for step in steps:
        report(step, 2)

    assert len(statements(ticker)) == len(few)
    assert set(Step.objects.values_list("iteration", flat=True)) == {2}


def test_a_report_is_mirrored_into_step_run_and_the_parents_result(
    ticker: Ticker, running: Callable[[], Step]
) -> None:
    step = running()
    report(step, 4)

    ticker.tick()

    step.refresh_from_db()
    run = step.run
    assert (step.iteration, step.completion, step.reported_at is None) == (4, 40.0, False)
    assert (run.state, run.iteration, run.total, run.completion) == ("PROGRESS", 4, 10, 40.0)
    assert current_app.AsyncResult(str(run.pk)).info == run.meta.as_dict()
    assert run.message == "counts: Counting"


def test_a_run_has_started_when_its_first_child_runs(ticker: Ticker) -> None:
    run = start(workflows.counting, {"limit": 10})
    step = Step.objects.select_related("run").get(run=run)
    assert ParentHost().claim(str(step.task_id), attempt_header(step))
    Step.objects.filter(run=run).update(due_at=Now())

    ticker.tick()

    run.refresh_from_db()
    step.refresh_from_db()
    assert (run.state, run.started_at) == (RunState.STARTED, step.started_at)
    assert current_app.AsyncResult(str(run.pk)).state == "STARTED"
    assert step.due_at is None


def test_completion_never_goes_backwards(ticker: Ticker, running: Callable[[], Step]) -> None:
    step = running()
    for iteration in (6, 2):
        report(step, iteration)
        ticker.tick()

    step.refresh_from_db()
    assert (step.completion, step.run.completion) == (20.0, 60.0)


def test_a_report_that_says_the_same_changes_nothing_but_the_time(
    ticker: Ticker, running: Callable[[], Step]
) -> None:
    step = running()
    report(step, 4)
    ticker.tick()
    version = Run.objects.get().version

    report(step, 4)
    ticker.tick()

    step.refresh_from_db()
    assert step.reported_at == step.mirrored_at
    assert step.reported_at == TaskResult.objects.get(task_id=step.task_id).date_done
    assert Run.objects.get().version == version


def test_a_late_report_does_not_touch_an_ended_run(
    ticker: Ticker, running: Callable[[], Step]
) -> None:
    step = running()
    assert end_attempt(str(step.task_id), Meta().ok(45))
    with pytest.raises(AttemptLost):
        report(step, 4)

    ticker.tick()

    run = Run.objects.get()
    assert (run.state, run.result, run.completion) == (RunState.SUCCESS, 45, 100.0)
    assert current_app.AsyncResult(str(run.pk)).get(timeout=1) == 45


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "REVOKED"])
def test_an_end_that_only_celery_knows_of_is_taken_over(
    ticker: Ticker, running: Callable[[], Step], state: str
) -> None:
    step = running()
    current_app.backend.store_result(
        str(step.task_id), 7 if state == "SUCCESS" else ValueError("bad"), state
    )

    ticker.tick()

    run = Run.objects.get()
    expected = {
        "SUCCESS": (RunState.SUCCESS, None),
        "FAILURE": (RunState.FAILURE, "Error in counts: bad"),
        "REVOKED": (
            RunState.FAILURE,
            "Error in counts: the task was revoked before it could finish",
        ),
    }
    assert (run.state, run.error) == expected[state]
    assert list(TaskResult.objects.values_list("task_id", flat=True)) == [str(run.pk)]


def test_a_result_with_an_old_stamp_is_found_by_the_sweep(
    executor: Executor, running: Callable[[], Step]
) -> None:
    """A worker whose clock is an hour slow stores its results in the past."""
    ticker = Ticker(executor.pk)
    while not ticker.tick():
        pass
    recent, late = running(), running()
    celery_stores(recent, 1)
    ticker.tick()
    celery_stores(late, 5)
    TaskResult.objects.filter(task_id=late.task_id).update(date_done=ago(3600))
    ticker.tick()
    late.refresh_from_db()
    assert late.iteration == 0

    ticker._sweep_at = 0
    ticker.tick()

    late.refresh_from_db()
    assert late.iteration == 5


def test_an_attempt_of_a_dead_executor_is_taken_away(
    ticker: Ticker, executor: Executor, running: Callable[[], Step]
) -> None:
    dead = Executor.objects.create(host="gone", pid=7, heartbeat_at=ago(31))
    step = running()
    Step.objects.filter(pk=step.pk).update(executor=dead)
    alive = running()

    ticker.tick()

    step.refresh_from_db()
    alive.refresh_from_db()
    assert (step.state, step.error) == ("ERROR", "counts: the worker gone:7 died while running it")
    assert alive.state == StepState.RUNNING
    # If the dead worker comes back, its outcome is dropped.
    assert not end_attempt(str(step.task_id), Meta().ok(1))


def test_who_comes_when_nobody_has_watched_for_long_takes_nothing_at_once(
    ticker: Ticker, running: Callable[[], Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a database outage longer than a lease, a new worker may be the first to tick."""
    WatchLease.objects.update(expires_at=ago(60))
    step = running()
    Step.objects.filter(pk=step.pk).update(stall_timeout=60, started_at=ago(90), due_at=ago(30))
    Executor.objects.update(heartbeat_at=ago(61))
    newcomer = Ticker(uuid4())

    newcomer.tick()

    step.refresh_from_db()
    assert step.state == StepState.RUNNING
    later = time.monotonic() + 2 * 5.0 + CONNECT_TIMEOUT
    monkeypatch.setattr("parent.watch.tick.time.monotonic", lambda: later)
    newcomer.tick()
    step.refresh_from_db()
    assert step.state == StepState.ERROR


def test_a_step_that_cannot_be_ended_does_not_keep_the_tick_from_the_next(
    ticker: Ticker, running: Callable[[], Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = running(), running()
    late = {"run_timeout": 60, "started_at": ago(61)}
    Step.objects.filter(pk=first.pk).update(**late, due_at=ago(2))
    Step.objects.filter(pk=second.pk).update(**late, due_at=ago(1))

    def record_others(name: str, task_id: str, *given: Any, **named: Any) -> Any:
        if task_id == first.task_id:
            raise LookupError("of another version")
        return record(name, task_id, *given, **named)

    monkeypatch.setattr("parent.watch.outcomes.record", record_others)
    terminated: list[Any] = []
    monkeypatch.setattr("parent.watch.tick.terminate", terminated.append)

    ticker.tick()

    second.refresh_from_db()
    assert second.state == StepState.ERROR
    assert terminated == [second]  # whose end is not written may go on
    assert not Step.objects.filter(pk=first.pk, due_at__lte=Now()).exists()


@pytest.mark.parametrize(
    ("column", "error"),
    [
        ("run_timeout", "counts did not finish within 60 s"),
        (
            "stall_timeout",
            "counts has not reported for 60 s: it may hang, or need a longer stall_timeout",
        ),
    ],
)
def test_a_running_step_past_its_limit_ends(
    ticker: Ticker, running: Callable[[], Step], column: str, error: str
) -> None:
    step = running()
    limit: dict[str, Any] = {column: 60, "started_at": ago(61), "due_at": ago(1)}
    Step.objects.filter(pk=step.pk).update(**limit)

    ticker.tick()

    assert Run.objects.get().error == error


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "late"])
def test_only_a_body_that_may_run_is_terminated(
    ticker: Ticker, running: Callable[[], Step], monkeypatch: pytest.MonkeyPatch, *, stored: bool
) -> None:
    """Of a task that has stored its end, Celery would replace the result by REVOKED."""
    step = running()
    if stored:
        current_app.backend.store_result(str(step.task_id), 7, "SUCCESS")
        TaskResult.objects.filter(task_id=step.task_id).update(date_done=ago(3600))
    late: dict[str, Any] = {"run_timeout": 60, "started_at": ago(61), "due_at": ago(1)}
    Step.objects.filter(pk=step.pk).update(**late)
    terminated: list[Any] = []
    monkeypatch.setattr("parent.watch.tick.terminate", terminated.append)

    ticker.tick()

    assert Run.objects.get().state == (RunState.SUCCESS if stored else RunState.FAILURE)
    assert terminated == ([] if stored else [step])


def test_a_report_puts_off_the_stall_limit(ticker: Ticker, running: Callable[[], Step]) -> None:
    step = running()
    Step.objects.filter(pk=step.pk).update(stall_timeout=60, started_at=ago(100), due_at=ago(40))
    report(step, 1)

    ticker.tick()

    step.refresh_from_db()
    assert step.state == StepState.RUNNING
    assert step.reported_at is not None
    assert step.due_at == step.reported_at + timedelta(seconds=60)


def test_only_one_executor_ticks_until_its_lease_lapses(ticker: Ticker) -> None:
    second = Ticker(uuid4())

    assert ticker.tick()
    assert not second.tick()
    WatchLease.objects.update(expires_at=ago(1))
    assert second.tick()
    assert not ticker.tick()


def test_a_released_watch_is_taken_at_once(ticker: Ticker, executor: Executor) -> None:
    leases.release_watch_lease(executor.pk)

    assert Ticker(uuid4()).tick()


def test_long_dead_executors_are_forgotten_but_not_while_a_step_names_them(
    executor: Executor, running: Callable[[], Step]
) -> None:
    step = running()
    named, _ = (Executor.objects.create(host=h, pid=1, heartbeat_at=ago(90_000)) for h in "ab")
    Step.objects.filter(pk=step.pk).update(executor=named, state=StepState.OK)

    leases.delete_dead()

    assert set(Executor.objects.values_list("host", flat=True)) == {"here", "a"}
