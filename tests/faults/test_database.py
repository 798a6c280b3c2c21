"""If the database fails, all processes wait and go on; no outcome is lost."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import DjangoDbBlocker

from parent.models import Run, RunState, Step
from parent.store import clock
from tests.conftest import missing
from tests.faults.conftest import LEASE, Gate, StartWorker
from tests.faults.invariants import assert_sound, bodies
from tests.faults.servers import OwnPostgres, use_database
from tests.flows import faults, outages
from tests.services import postgres_tools
from tests.waiting import ended, until
from tests.workers import Worker


@pytest.fixture(scope="module")
def cluster(django_db_blocker: DjangoDbBlocker) -> Iterator[OwnPostgres]:
    """A PostgreSQL server of this module's own, with the project's tables."""
    tools = postgres_tools()
    if tools is None:
        missing("There is no `initdb` on PATH: install postgresql to run these tests.")
    assert tools is not None
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = OwnPostgres(tools, Path(folder))
        server.start()
        try:
            with django_db_blocker.unblock(), use_database(server.url):
                call_command("migrate", verbosity=0)
            yield server
        finally:
            server.stop()


@pytest.fixture
def transactional_db(cluster: OwnPostgres, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Its tables, empty, in the place of the session's."""
    with django_db_blocker.unblock(), use_database(cluster.url):
        call_command("flush", interactive=False, verbosity=0)
        yield


def outlast_a_lease(*workers: Worker) -> None:
    """Wait until these workers have missed the database for longer than a lease."""
    until_then = time.monotonic() + LEASE + 1
    while time.monotonic() < until_then:
        for worker in workers:
            worker.wait_for("the watch goes on when it answers")


def report_for_a_lease(run: Run) -> None:
    """Wait until the run's child has reported for longer than a lease from now."""
    then = clock.now() + timedelta(seconds=LEASE + 1)
    until("reports", lambda: Step.objects.filter(run=run, reported_at__gt=then).exists())


def assert_each_ran_once(runs: Sequence[Run]) -> None:
    """Assert that all runs succeeded and that each step's body ran once."""
    assert {ended(run).state for run in runs} == {RunState.SUCCESS}
    assert_sound(*runs)
    steps = Step.objects.filter(run__in=runs)
    assert {(step.attempt, step.retries_used) for step in steps} == {(1, 0)}
    began = [attempt for of_step in bodies().values() for attempt in of_step]
    assert sorted(began) == sorted(str(step.task_id) for step in steps)


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_child_that_ends_while_it_is_stopped_is_recorded_afterwards(
    cluster: OwnPostgres, watcher: Worker, start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    worker = start_worker(pool)
    run = faults.held.start(gate=gate.name)
    gate.reached()

    with cluster.stopped():
        gate.open()
        # It waits twice as long each time: by now for longer than its lease.
        worker.wait_for("again in 3.20 s")

    assert_each_ran_once([run])


def test_a_child_that_runs_while_it_is_stopped_goes_on(
    cluster: OwnPostgres, watcher: Worker, start_worker: StartWorker, gate: Gate
) -> None:
    worker = start_worker()
    run = faults.held.start(gate=gate.name)
    gate.reached()

    with cluster.stopped():
        outlast_a_lease(worker, watcher)

    report_for_a_lease(run)
    gate.open()
    assert_each_ran_once([run])


def test_a_worker_that_dies_meanwhile_is_found_out_afterwards(
    cluster: OwnPostgres, watcher: Worker, start_worker: StartWorker, gate: Gate
) -> None:
    worker = start_worker()
    run = faults.held_again.start(gate=gate.name)
    gate.reached()

    with cluster.stopped():
        outlast_a_lease(watcher)
        worker.kill()

    start_worker()
    gate.reached()
    gate.open()
    assert ended(run).state == RunState.SUCCESS
    assert Step.objects.get(run=run, name="hold").attempt == 2
    assert_sound(run)


def test_a_worker_that_starts_without_it_waits_for_it(
    cluster: OwnPostgres, start_worker: StartWorker, tmp_path: Path
) -> None:
    run = outages.walk.start()

    with ThreadPoolExecutor() as beside:
        with cluster.stopped():
            starting = beside.submit(start_worker, DATABASE_URL=cluster.url)
            log = tmp_path / "worker-0.log"
            until("its wait", lambda: log.exists() and "register this executor" in log.read_text())
            assert not starting.done()
        starting.result()

    assert_each_ran_once([run])


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_restarted_again_and_again(
    cluster: OwnPostgres, start_worker: StartWorker, pool: str
) -> None:
    for _ in range(2):
        start_worker(pool, slots=2)
    runs = [outages.walk.start() for _ in range(15)]

    for restarts in range(1, 5):
        some = 3 * restarts
        until("some bodies", lambda some=some: len(bodies()) >= some)  # type: ignore[misc]
        with cluster.stopped():
            pass

    assert_each_ran_once(runs)


def test_silent_for_longer_than_a_lease(
    cluster: OwnPostgres, watcher: Worker, start_worker: StartWorker, gate: Gate
) -> None:
    """There is no error, but all heartbeats stop."""
    for _ in range(2):
        start_worker()
    runs = [faults.held.start(gate=gate.name) for _ in range(2)]
    for _ in runs:
        gate.reached()

    cluster.freeze()
    time.sleep(LEASE + 1)
    cluster.thaw()

    for run in runs:
        report_for_a_lease(run)
    for _ in runs:
        gate.open()
    assert_each_ran_once(runs)
