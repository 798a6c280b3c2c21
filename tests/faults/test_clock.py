"""A worker whose clock is an hour off changes nothing: the database's clock decides."""

import re
import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from children.meta import Meta
from parent.messages.publish import attempt_header
from parent.models import Executor, RunState, Step
from parent.operations.doctor import workers
from parent.store import clock
from parent.watch.tick import Ticker
from parent.worker.host import ParentHost
from tests.conftest import missing
from tests.faults.conftest import LEASE, Gate, StartWorker
from tests.faults.invariants import assert_sound
from tests.flows import faults, workflows
from tests.system.conftest import step
from tests.waiting import ended, until
from tests.workers import Worker

HOUR = 3600
OFFSETS = [pytest.param(HOUR, id="ahead"), pytest.param(-HOUR, id="behind")]


@pytest.fixture(scope="session")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that shifts the clock of the process that loads it first."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite's clock is that of whoever asks it.")
    compiler = shutil.which("cc")
    if compiler is None:
        missing("There is no `cc` on PATH: install a C compiler to run these tests.")
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    command = [str(compiler), "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


@pytest.fixture
def start_shifted(start_worker: StartWorker, shifted: Path) -> StartWorker:
    """Start workers whose clock is so many seconds off."""

    def start(offset: int, pool: str = "threads", *args: str) -> Worker:
        worker = start_worker(pool, *args, LD_PRELOAD=str(shifted), CLOCK_OFFSET=str(offset))
        told = re.search(r'"timestamp": "([^"]+)"', worker.log.read_text())
        assert told is not None
        ahead = datetime.fromisoformat(told[1]) - clock.now()
        assert ahead.total_seconds() == pytest.approx(offset, abs=30)
        return worker

    return start


@pytest.mark.django_db
def test_a_foreign_task_with_such_a_clock_hides_no_reports_of_others() -> None:
    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)
    foreign, other = workflows.foreign.start(a=1), workflows.counting.start(limit=10)
    their = {run: str(Step.objects.get(run=run, index=0).task_id) for run in (foreign, other)}
    TaskResult.objects.create(task_id=their[foreign], status="STARTED")
    TaskResult.objects.filter(task_id=their[foreign]).update(date_done=Now() + timedelta(hours=1))
    while not ticker.tick():
        pass

    step = Step.objects.select_related("run").get(run=other)
    attempt = ParentHost().claim(their[other], attempt_header(step))
    assert attempt is not None
    attempt.report(Meta.at(3, 10))
    ticker.tick()

    assert Step.objects.get(run=other).iteration == 3


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_run_on_such_a_worker(start_shifted: StartWorker, gate: Gate, offset: int) -> None:
    start_shifted(offset)
    begun = clock.now()
    run = faults.held.start(gate=gate.name)
    gate.reached()

    # Reports are mirrored as they come.
    seen = until("a report", lambda: step(run, "hold").iteration)
    until("later ones", lambda: step(run, "hold").iteration > seen + 5, timeout=10)

    gate.open()
    assert ended(run).state == RunState.SUCCESS
    assert_sound(run)
    assert {s.attempt for s in run.steps.all()} == {1}
    for s in run.steps.all():
        assert s.queued_at is not None
        assert s.started_at is not None
        assert s.finished_at is not None
        assert begun <= s.queued_at <= s.started_at <= s.finished_at <= clock.now()


@pytest.mark.parametrize("offset", OFFSETS)
def test_the_doctor_tells_of_such_a_worker(start_shifted: StartWorker, offset: int) -> None:
    worker = start_shifted(offset)

    (told,) = workers.clocks()

    executor = Executor.objects.get(pid=worker.process.pid)
    ahead = "ahead of" if offset > 0 else "behind"
    assert re.fullmatch(
        f"the clock of {executor} is (3599|3600|3601) s {ahead} the database's", told.what
    )


@pytest.mark.parametrize("offset", OFFSETS)
def test_silence_is_noticed_on_such_a_worker(
    start_shifted: StartWorker, gate: Gate, offset: int
) -> None:
    start_shifted(offset)
    run = ended(workflows.stalls.start(gate=gate.name), timeout=10)

    gated = step(run, "gated")
    assert run.error is not None
    assert run.error.startswith("gated has not reported for 1 s")
    assert gated.started_at is not None
    assert gated.finished_at is not None
    assert (gated.finished_at - gated.started_at).total_seconds() >= 1
    gate.open()


@pytest.mark.parametrize("offset", OFFSETS)
def test_such_a_worker_watches_as_any_other(
    start_worker: StartWorker, start_shifted: StartWorker, gate: Gate, offset: int
) -> None:
    """It treats no live worker as dead, and no dead worker as alive."""
    start_shifted(offset, "threads", "-Q", "aside")
    doomed = start_worker()
    run = faults.held_again.start(gate=gate.name)
    gate.reached()
    seen = until("a report", lambda: step(run, "hold").iteration)
    until("later ones", lambda: step(run, "hold").iteration > seen + LEASE / 0.2, timeout=15)
    assert step(run, "hold").attempt == 1

    doomed.kill()
    start_shifted(offset)
    gate.reached()
    gate.open()

    assert ended(run).state == RunState.SUCCESS
    assert step(run, "hold").attempt == 2
    assert_sound(run)
