"""Workers are killed: steps with retries run elsewhere, steps without end with an error."""

import os
import signal
from collections.abc import Callable

import pytest

from parent.models import RunState, StepState
from tests.faults.conftest import Gate, StartWorker
from tests.faults.invariants import assert_sound, bodies
from tests.flows import faults
from tests.system.conftest import step
from tests.waiting import ended
from tests.workers import Worker


def kill_main(worker: Worker) -> None:
    """Only the main process."""
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait()


Kill = Callable[[Worker], None]
KILLS = [
    pytest.param("prefork", kill_main, id="main-of-prefork"),
    pytest.param("prefork", Worker.kill, id="all-of-prefork"),
    pytest.param("threads", Worker.kill, id="threads"),
]


@pytest.mark.parametrize(("pool", "kill"), KILLS)
def test_a_step_of_a_killed_worker_is_tried_again_elsewhere(
    watcher: Worker, start_worker: StartWorker, gate: Gate, pool: str, kill: Kill
) -> None:
    doomed = start_worker(pool)
    run = faults.held_again.start(gate=gate.name)
    gate.reached()
    first = step(run, "hold")

    kill(doomed)
    start_worker()
    gate.reached()
    gate.open()

    assert ended(run).state == RunState.SUCCESS
    (lost,) = step(run, "hold").attempts.all()
    assert lost.task_id == first.task_id
    assert lost.worker == str(first.executor)
    assert lost.error == f"hold: the worker {first.executor} died while running it"
    assert lost.started_at is not None
    assert (step(run, "hold").attempt, step(run, "hold").retries_used) == (2, 1)
    assert_sound(run)


def test_a_step_without_retries_names_the_worker_that_died(
    watcher: Worker, start_worker: StartWorker, gate: Gate
) -> None:
    doomed = start_worker("prefork")
    run = faults.held.start(gate=gate.name)
    gate.reached()

    doomed.kill()

    assert ended(run).state == RunState.FAILURE
    worker = step(run, "hold").executor
    assert worker is not None
    assert worker.pid == doomed.process.pid
    assert run.error == f"hold: the worker {worker} died while running it"
    assert step(run, "tail").state == StepState.SKIPPED
    assert_sound(run)


def test_all_workers_killed_at_once(start_worker: StartWorker, gate: Gate) -> None:
    doomed = [start_worker("prefork", slots=2), start_worker("threads", slots=2)]
    again = [faults.held_again.start(gate=gate.name) for _ in range(3)]
    once = faults.held.start(gate=gate.name)
    queued = faults.held_again.start(gate=gate.name)
    for _ in range(4):
        gate.reached()

    for worker in doomed:
        worker.kill()
    start_worker(slots=4)
    for _ in range(4):
        gate.reached()
        gate.open()

    assert {ended(run).state for run in (*again, queued)} == {RunState.SUCCESS}
    assert ended(once).state == RunState.FAILURE
    assert_sound(*again, once, queued)


def test_a_killed_child_is_tried_again_on_the_same_worker(start_worker: StartWorker) -> None:
    start_worker("prefork")

    run = ended(faults.failing_again.start(failures=1, how="die"))

    assert run.state == RunState.SUCCESS
    assert step(run, "fail").result == 2
    (lost,) = step(run, "fail").attempts.all()
    assert "SIGKILL" in lost.error
    assert_sound(run)


def test_a_step_that_always_kills_its_process_stops_at_its_attempts(
    start_worker: StartWorker,
) -> None:
    start_worker("prefork")

    run = ended(faults.failing_again.start(failures=99, how="die"))

    assert run.error is not None
    assert run.error.startswith("fail: the worker process died while running it")
    assert run.error.endswith("(after 3 attempts)")
    failed = step(run, "fail")
    assert [attempt.number for attempt in failed.attempts.all()] == [1, 2]
    for attempt in failed.attempts.all():
        assert attempt.worker == str(failed.executor)
        assert attempt.started_at is not None
        assert "SIGKILL" in attempt.error
    assert len(bodies()[str(run.pk), "fail"]) == 3
    assert_sound(run)


def test_a_step_that_always_kills_its_whole_worker_stops_at_its_attempts(
    watcher: Worker, start_worker: StartWorker
) -> None:
    run = faults.failing_again.start(failures=99, how="die")
    # As a supervisor does: replace each worker that died.
    for _ in range(3):
        start_worker("threads").process.wait(30)

    assert ended(run).state == RunState.FAILURE
    assert run.error == (
        f"fail: the worker {step(run, 'fail').executor} died while running it (after 3 attempts)"
    )
    assert len(bodies()[str(run.pk), "fail"]) == 3
    assert_sound(run)


def test_after_a_process_that_dies_the_endings_run_once(
    watcher: Worker, start_worker: StartWorker
) -> None:
    start_worker("prefork")
    run = ended(faults.undone.start(failures=1, how="die"))

    states = list(run.steps.values_list("name", "state"))
    assert states == [("fail", "ERROR"), ("undo", "OK"), ("clean_up", "OK")]
    assert run.state == RunState.FAILURE
    assert (run.error or "").startswith("fail: the worker process died while running it")
    assert [len(bodies()[str(run.pk), name]) for name in ("undo", "clean_up")] == [1, 1]
    assert_sound(run)
