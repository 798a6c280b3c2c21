"""`task_failure`, which tools such as Sentry use, is sent once for each failure."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from parent.definition.workflow import Workflow
from parent.models import Run, RunState, Step, StepState
from tests.faults.conftest import start_worker, watcher
from tests.flows import faults, workflows
from tests.flows.tasks import gates
from tests.ops.conftest import Gate, StartWorker
from tests.waiting import ended
from tests.workers import Worker

__all__ = ["start_worker", "watcher"]

AT_A_GATE = {"gate": "gate"}
FAILING: list[Any] = [
    pytest.param(workflows.broken, {}, id="an exception"),
    pytest.param(faults.failing_again, {"failures": 99}, id="retries that ran out"),
    pytest.param(workflows.not_json, {}, id="a result that is not JSON"),
    pytest.param(workflows.foreign_broken, {}, id="a foreign task's exception"),
    pytest.param(workflows.too_long, AT_A_GATE, id="the run timeout"),
    pytest.param(workflows.stalls, AT_A_GATE, id="the stall timeout"),
    pytest.param(workflows.nobody, {}, id="the queue timeout"),
]
ONLY_PREFORK: list[Any] = [
    pytest.param(workflows.deadly, {}, id="a process that died"),
    pytest.param(workflows.hard_limit, AT_A_GATE, id="Celery's own time limit"),
]
CASES = [
    *(pytest.param(pool, *case.values, id=f"{case.id}, {pool}")
      for pool in ("prefork", "threads") for case in FAILING),
    *(pytest.param("prefork", *case.values, id=case.id) for case in ONLY_PREFORK),
]  # fmt: skip


def told() -> list[str]:
    """The task ids that the signal reported."""
    return [json.loads(line) for line in gates().lrange(faults.FAILURES, 0, -1)]


def failed(run: Run) -> list[str | None]:
    return list(run.steps.filter(state=StepState.ERROR).values_list("task_id", flat=True))


@pytest.mark.parametrize(("pool", "workflow", "params"), CASES)
def test_once_for_each_failure(
    start_worker: StartWorker, gate: Gate, pool: Any, workflow: Workflow, params: Mapping[str, Any]
) -> None:
    worker = start_worker(pool)

    run = ended(workflow.start(**params))
    for _ in range(3):
        gate.open()  # a body that was given up goes on, and may not tell a second time
    worker.stop()

    assert run.state == RunState.FAILURE
    assert "sys.exit" not in str(run.error)  # how a pool's process ends is not its body's doing
    assert len(failed(run)) == 1
    assert told() == failed(run)


def test_once_for_each_process_that_died(start_worker: StartWorker) -> None:
    """Celery sends it before it is known whether a retry will succeed."""
    worker = start_worker("prefork")

    run = ended(faults.failing_again.start(failures=2, how="die"))
    worker.stop()

    assert run.state == RunState.SUCCESS
    attempts = Step.objects.get(run=run, name="fail").attempts.order_by("number")
    assert told() == list(attempts.values_list("task_id", flat=True))


def test_a_worker_that_died(watcher: Worker, start_worker: StartWorker, gate: Gate) -> None:
    doomed = start_worker("prefork")
    run = faults.held.start(gate=gate.name)
    gate.reached()

    doomed.kill()

    assert ended(run).state == RunState.FAILURE
    watcher.stop()
    assert told() == failed(run)


def test_a_worker_that_was_stopped(start_worker: StartWorker, gate: Gate) -> None:
    worker = start_worker("prefork", WORKFLOW_SHUTDOWN_GRACE="0.5")
    run = faults.held.start(gate=gate.name)
    gate.reached()

    worker.stop()

    assert ended(run).state == RunState.FAILURE
    assert told() == failed(run)


def test_a_whole_run_that_took_too_long(start_worker: StartWorker, gate: Gate) -> None:
    worker = start_worker("threads")

    run = ended(workflows.whole_too_long.start(gate=gate.name))
    gate.open()
    worker.stop()

    assert told() == [str(run.pk)]


def test_none_where_nothing_failed(start_worker: StartWorker) -> None:
    worker = start_worker("prefork")

    ended(workflows.sums.start(a=1))
    worker.stop()

    assert told() == []
