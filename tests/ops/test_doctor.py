"""`manage.py workflow doctor`: each finding, from a real fault."""

import json
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import current_app
from django.conf import LazySettings
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone
from django_celery_results.models import TaskResult

from parent import Approval, Concurrency, Map, Workflow
from parent import Step as StepDefinition
from parent.definition.workflow import registry
from parent.models import Executor, Item, Place, Run, RunState, Step, StepState, WatchLease
from parent.operations.doctor import Finding, examine, workers
from parent.runs.concurrency.shared_limits import fill
from parent.runs.items.child_runs import open_child_runs
from parent.store import clock, leases
from parent.worker.remote_workers import Remote
from tests.flows import tasks, workflows
from tests.ops.conftest import StartWorker
from tests.waiting import until
from tests.workers import fork_servers

ROOT = Path(__file__).resolve().parents[2]
QUEUES = ["celery", "plain", "gpu", "nobody-consumes-this"]
LONG_AGO = timedelta(hours=2)


def found(part: str) -> list[Finding]:
    return [finding for finding in examine() if finding.part == part]


def only(part: str) -> Finding:
    (finding,) = found(part)
    return finding


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask no workers over the broker: in these tests they are only rows."""
    monkeypatch.setattr(workers, "remote_workers", Everybody)


class Everybody(dict[str, Any]):
    """Each executor answers, and knows every task."""

    def get(self, _executor: str, _default: Any = None) -> Any:
        return Remote(name="any", tasks=frozenset(current_app.tasks))


@pytest.fixture
def well(db: None, broker: str, alone: None) -> Executor:
    """The only worker of an installation without faults."""
    executor = uuid4()
    leases.renew_heartbeat(executor, QUEUES, "threads")
    leases.acquire_watch_lease(executor)
    leases.acquire_watch_lease(executor)
    return Executor.objects.get(pk=executor)


def test_all_is_well(well: Executor) -> None:
    stdout = StringIO()

    call_command("workflow", "doctor", stdout=stdout)

    assert stdout.getvalue() == "All is well.\n"


def test_findings_are_told_with_what_to_do_and_by_the_exit_code(well: Executor) -> None:
    Executor.objects.update(queues=QUEUES[1:])
    stdout, as_json = StringIO(), StringIO()

    with pytest.raises(SystemExit) as left:
        call_command("workflow", "doctor", stdout=stdout)
    with pytest.raises(SystemExit):
        call_command("workflow", "doctor", "--json", stdout=as_json)

    assert left.value.code == 1
    assert "queues: no worker consumes 'celery'" in stdout.getvalue()
    assert (
        "\n  Start one: LOCAL=on WORKER_QUEUES=celery python manage.py worker\n1 finding.\n"
        in stdout.getvalue()
    )
    (told,) = json.loads(as_json.getvalue())
    assert told["part"] == "queues"
    assert told["do"] == "Start one: LOCAL=on WORKER_QUEUES=celery python manage.py worker"


def test_a_workflow_that_cannot_run(well: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    from parent import Workflow

    monkeypatch.setattr(registry, "_workflows", dict(registry._workflows))
    Workflow("shop", steps=[])

    told = only("settings")

    assert told.what == "workflows.E003: Workflow 'shop': it has no steps"  # without its full stop
    assert told.do == "Give it at least one Step."


def test_settings_that_are_not_for_a_deployment(well: Executor, settings: LazySettings) -> None:
    settings.LOCAL = False  # the rest is as `make up` has it: plain http

    assert "security.W008: Your SECURE_SSL_REDIRECT" in "".join(
        each.what for each in found("settings")
    )


def test_a_broker_that_does_not_answer(db: None) -> None:
    told = only("broker")

    assert told.what.startswith("the broker does not answer (")
    assert "REDIS_URL" in told.do


def test_a_broker_that_throws_messages_away(well: Executor, broker: str) -> None:
    server: Any = redis.Redis(unix_socket_path=broker.removeprefix("redis+socket://"))
    before = server.config_get("maxmemory-policy")["maxmemory-policy"]
    server.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert "throws messages away (maxmemory-policy allkeys-lru)" in only("broker").what
    finally:
        server.config_set("maxmemory-policy", before)
        server.close()


def test_a_database_that_does_not_answer(well: Executor) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("it is gone")

    with connection.execute_wrapper(away):
        told = only("database")

    assert told.what == "the database does not answer (it is gone)"
    assert "DATABASE_URL" in told.do


def test_a_database_without_tables(tmp_path: Path, broker: str) -> None:
    answer = doctor(DATABASE_URL=f"sqlite:///{tmp_path}/new.sqlite3", REDIS_URL=broker)

    assert answer.returncode == 1
    (told,) = json.loads(answer.stdout)
    assert told["part"] == "database"
    assert "migrations are not applied, such as contenttypes.0001_initial" in told["what"]
    assert told["do"] == "Run: python manage.py migrate"


def doctor(**environ: str) -> "subprocess.CompletedProcess[str]":
    variables = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", **environ}
    return fork_servers.without_settings.complete(
        *("manage.py", "workflow", "doctor", "--json"), environ=variables, cwd=str(ROOT)
    )


def test_no_worker(db: None, broker: str, alone: None) -> None:
    assert only("workers").what == "no worker has given a sign of life for 30 s"


def test_steps_of_a_worker_that_died(well: Executor) -> None:
    dead = Executor.objects.create(host="gone", pid=7)
    Executor.objects.filter(pk=dead.pk).update(heartbeat_at=timezone.now() - LONG_AGO)
    run = workflows.noops.start()
    run.steps.filter(index=0).update(state=StepState.RUNNING, executor=dead, run_timeout=9)

    assert only("workers").what == "gone:7 is dead, and 1 steps still count as running on it"


def test_workers_of_two_machines_on_sqlite(well: Executor) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL may have any number.")
    Executor.objects.create(host="another", pid=7, queues=QUEUES)

    assert "share an SQLite file" in only("workers").what


def test_a_queue_of_a_step_that_waits_and_nobody_consumes(well: Executor) -> None:
    run = workflows.noops.start()
    run.steps.filter(index=0).update(queue="renamed")

    told = only("queues")

    assert told.what == "no worker consumes 'renamed', which noops (flows.noop) need"


@pytest.mark.django_db(transaction=True)
def test_real_workers_answer_whatever_their_names(start_worker: StartWorker) -> None:
    start_worker("-P", "prefork", "-c", "1", "-n", "any@name", "-Q", ",".join(QUEUES))
    until("the watch", WatchLease.objects.filter(holder__isnull=False).exists)

    assert list(examine()) == []


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_does_not_answer_over_this_broker(broker: str) -> None:
    leases.renew_heartbeat(uuid4(), QUEUES, "threads")

    told = found("workers")

    assert "is alive in the database and does not answer over this broker" in told[0].what


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_does_not_know_its_tasks(start_worker: StartWorker) -> None:
    start_worker(
        *("-P", "threads", "-c", "1", "-Q", ",".join(QUEUES)),
        DJANGO_SETTINGS_MODULE="mainproj.settings", LOCAL="on", SECRET_KEY="none",
    )  # fmt: skip

    told = found("workers")

    assert re.search(r"consumes their queue and does not know the tasks \w+\.", told[0].what)


def test_what_waits_for_a_person_or_is_a_workflow_needs_no_queue(
    well: Executor, own_registry: None
) -> None:
    elsewhere = StepDefinition(tasks.noop, queue="celery")
    inner = Workflow("inner", steps=[elsewhere])
    Workflow("outer", steps=[elsewhere, Approval("release"), StepDefinition(inner)])
    Executor.objects.update(queues=["celery"])

    assert list(workers.queues()) == []
    remote = Remote(name="here", tasks=frozenset({tasks.noop.name}), active=frozenset())
    assert list(workers._unknown_tasks(well, remote)) == []


def test_nobody_watches(well: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    WatchLease.objects.update(expires_at=now - timedelta(minutes=1))

    assert only("watch").what == "no worker has ticked for 66 s"


def test_a_worker_whose_clock_is_off(well: Executor) -> None:
    Executor.objects.update(clock_at=timezone.now() - timedelta(minutes=1))

    told = only("clocks")

    assert told.what == f"the clock of {well} is 60 s behind the database's"


def test_a_run_that_nothing_moves(well: Executor) -> None:
    run = workflows.noops.start()
    run.steps.update(state=StepState.WAITING, due_at=None)

    told = only("runs")

    assert told.what == f"noops {run.pk} has not ended, and nothing in it is going to move"
    assert told.do == f"Run: python manage.py workflow cancel {run.pk}"


def test_what_to_do_about_such_a_run_helps(well: Executor) -> None:
    run = workflows.noops.start()
    run.steps.update(state=StepState.WAITING, due_at=None)

    call_command("workflow", "cancel", str(run.pk), stdout=StringIO())

    assert found("runs") == []


def test_steps_that_no_tick_looks_at(well: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    run, now = workflows.noops.start(), timezone.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    run.steps.filter(index=0).update(due_at=now - timedelta(minutes=5))

    assert only("runs").what == "1 steps have waited for a tick, the first for 300 s"


def test_a_run_that_waits_for_a_signal_is_well_until_it_seems_forgotten(well: Executor) -> None:
    run = workflows.signalled.start()
    run.steps.filter(name="load").update(state=StepState.OK, due_at=None)
    waits = {"state": StepState.RUNNING, "task_id": str(uuid4())}
    for days, told in ((6, 0), (9, 1)):
        ago = timezone.now() - timedelta(days=days)
        run.steps.filter(name="numbers").update(queued_at=ago, started_at=ago, **waits)

        assert len(found("runs")) == told

    assert f"numbers of signalled {run.pk} has waited longest, for 9 days" in only("runs").what
    assert f"workflow signal {run.pk} numbers" in only("runs").do


def test_a_child_that_is_silent_and_without_limits(well: Executor) -> None:
    run = workflows.noops.start()
    ago = timezone.now() - LONG_AGO
    run.steps.filter(index=0).update(state=StepState.RUNNING, started_at=ago, due_at=None)

    told = only("runs")

    assert told.what.startswith(f"first of noops {run.pk} has said nothing for over an hour")
    assert f"workflow cancel {run.pk}" in told.do


@pytest.fixture
def nested(well: Executor, own_registry: None) -> tuple[Run, Run]:
    """A run that began some time ago, and its child run."""
    inner = Workflow("inner", steps=[Approval("sign", timeout=9_000)])
    run = Workflow("outer", steps=[StepDefinition(inner)]).start()
    child = Run.objects.get(parent_run=run)
    ago = timezone.now() - LONG_AGO
    Run.objects.update(created_at=ago)
    Step.objects.update(started_at=ago)
    return run, child


def test_a_child_run_that_goes_on_within_its_step_is_well(nested: tuple[Run, Run]) -> None:
    assert found("runs") == []


@pytest.mark.parametrize(
    "columns",
    [{"state": StepState.OK}, {"child_run_id": uuid4()}, {"state": StepState.WAITING}],
    ids=["ended", "another run", "waits"],
)
def test_a_child_run_that_no_step_waits_for(
    nested: tuple[Run, Run], columns: dict[str, Any]
) -> None:
    run, child = nested
    run.steps.update(**columns)

    alone = [f for f in found("runs") if "no step of the run" in f.what]

    assert [f.what for f in alone] == [
        f"{child} goes on, and no step of the run {run.pk} waits for it"
    ]
    assert alone[0].do == f"Run: python manage.py workflow cancel {child.pk}"


def test_a_child_run_whose_run_has_ended(nested: tuple[Run, Run]) -> None:
    run, child = nested
    Run.objects.filter(pk=run.pk).update(finished_at=timezone.now(), state=RunState.FAILURE)

    assert f"{child} goes on, and no step" in only("runs").what


def test_a_step_whose_child_run_has_ended(nested: tuple[Run, Run]) -> None:
    run, child = nested
    child.steps.update(state=StepState.OK)
    ended = Run.objects.filter(pk=child.pk)
    ended.update(finished_at=timezone.now(), state=RunState.SUCCESS)
    assert found("runs") == []  # this moment: a tick brings it up

    ended.update(finished_at=timezone.now() - LONG_AGO)

    told = only("runs")
    assert told.what == f"inner of {run} waits for the run {child.pk}, which has ended"


def test_a_step_whose_child_run_is_not_there(nested: tuple[Run, Run]) -> None:
    run, child = nested
    delete_rows(child)

    told = only("runs")

    assert told.what == f"inner of {run} waits for the run {child.pk}, which is not there"
    assert told.do == f"Run: python manage.py workflow cancel {run.pk}; then retry it"


@pytest.fixture
def of_item(well: Executor, own_registry: None) -> tuple[Run, Run]:
    """A run that began some time ago, and the child run that an item of it is."""
    inner = Workflow("inner", steps=[Approval("sign", timeout=9_000)])
    run = Workflow("outer", steps=[Map(inner, name="each", over=lambda _: [{}])]).start()
    open_child_runs(run.steps.get().pk)
    child = Run.objects.get(parent_run=run)
    ago = timezone.now() - LONG_AGO
    Run.objects.update(created_at=ago)
    Step.objects.update(started_at=ago, due_at=None)
    Item.objects.update(started_at=ago)
    return run, child


def test_a_child_run_that_goes_on_within_its_item_is_well(of_item: tuple[Run, Run]) -> None:
    assert found("runs") == []


def test_a_child_run_that_no_item_waits_for(of_item: tuple[Run, Run]) -> None:
    _, child = of_item
    Item.objects.update(state=StepState.OK)

    assert f"{child} goes on, and no step" in only("runs").what


def test_a_child_run_that_was_cancelled_ends_after_its_item(of_item: tuple[Run, Run]) -> None:
    _, child = of_item
    Item.objects.update(state=StepState.ERROR)
    Run.objects.filter(pk=child.pk).update(cancel_requested_at=timezone.now())

    assert found("runs") == []


def test_an_item_whose_child_run_has_ended(of_item: tuple[Run, Run]) -> None:
    run, child = of_item
    child.steps.update(state=StepState.OK)
    ended = Run.objects.filter(pk=child.pk)
    ended.update(finished_at=timezone.now() - LONG_AGO, state=RunState.SUCCESS)

    assert only("runs").what == f"each[0] of {run} waits for the run {child.pk}, which has ended"


def delete_rows(run: Run) -> None:
    """As somebody does it by hand."""
    run.steps.all().delete()
    Run.objects.filter(pk=run.pk).delete()


MARCH = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_runs_that_wait_for_their_turn(well: Executor, own_registry: None) -> None:
    flow = Workflow("limited", steps=[StepDefinition(tasks.noop)], concurrency=Concurrency())
    holder, first, _ = (flow.start() for _ in range(3))
    assert only("runs").ok

    Run.objects.filter(pk=first.pk).update(created_at=MARCH)

    assert (only("runs").ok, only("runs").what) == (
        False,
        "2 runs of limited wait for their turn, the first since 2026-03-01 12:00 UTC: "
        f"1 of 1 in use, held by {holder.pk}",
    )


def test_steps_that_wait_for_a_limit(
    well: Executor, own_registry: None, settings: LazySettings
) -> None:
    settings.WORKFLOW_LIMITS = {"gpu": 1}
    step = StepDefinition(tasks.noop, limits=["gpu"])
    flow = Workflow("limited", steps=[step])
    for _ in range(2):
        flow.start()
    fill(["gpu"])  # as after a commit
    holder = Place.objects.get(taken_at__isnull=False)
    assert only("runs").ok
    out = StringIO()
    call_command("workflow", "doctor", stdout=out)
    assert "All is well." in out.getvalue()

    Place.objects.filter(taken_at=None).update(since=MARCH)

    assert (only("runs").ok, only("runs").what) == (
        False,
        "1 steps wait for a place of gpu, the first since 2026-03-01 12:00 UTC: "
        f"1 of 1 in use, held by {holder.run_id}",
    )


def test_a_step_whose_worker_does_not_run_it(well: Executor) -> None:
    run = workflows.noops.start()
    ago = timezone.now() - timedelta(minutes=2)
    run.steps.filter(index=0).update(
        state=StepState.RUNNING, started_at=ago, due_at=None, executor=well
    )

    told = only("runs")

    assert told.what == (
        f"first of noops {run.pk} counts as running on {well}, which does not run it"
    )
    assert f"workflow cancel {run.pk}" in told.do


def test_results_of_attempts_that_are_over_and_prune_deletes_them(well: Executor) -> None:
    run = workflows.noops.start()
    Step.objects.filter(run=run).update(state=StepState.OK, finished_at=timezone.now())
    Run.objects.filter(pk=run.pk).update(state="SUCCESS", finished_at=timezone.now())
    task_id = str(Step.objects.get(run=run, index=0).task_id)
    TaskResult.objects.create(task_id=task_id, status="SUCCESS")
    TaskResult.objects.filter(task_id=task_id).update(date_done=timezone.now() - LONG_AGO)
    stdout = StringIO()

    told = only("results")
    call_command("workflow", "prune", stdout=stdout)

    assert told.what == "1 TaskResult rows are of attempts that are over; nobody reads them"
    assert told.do == "Run: python manage.py workflow prune"
    assert stdout.getvalue() == "0 runs deleted.\n1 results of ended attempts deleted.\n"
    assert found("results") == []
    assert TaskResult.objects.filter(task_id=str(run.pk)).exists()
