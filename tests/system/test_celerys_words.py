"""Celery's own features - soft limits, revoke, terminate - on a real worker."""

from typing import Any

from celery import current_app
from django_celery_results.models import TaskResult

from parent.models import RunState, StepState
from tests.flows import tasks, workflows
from tests.system.conftest import Gate, StartWorker, step
from tests.waiting import ended, until


def test_on_one_worker(start_worker: StartWorker, gate: Gate) -> None:
    worker = start_worker("-P", "prefork", "-c", "1", WORKFLOW_POLL_INTERVAL="0.2")

    # A coroutine gets its soft limit's exception where it awaits.
    run = ended(workflows.soft_limited.start())
    limit = "it did not finish within its soft time limit (SoftTimeLimitExceeded)"
    assert run.error == f"Error in waits_limited: {limit}"
    assert (run.iteration, run.total) == (1, 2)

    # Revoked by the run's id, a child ends at its next report, a coroutine as well.
    run = workflows.going_on.start(gate=gate.name)
    gate.reached()
    result: Any = workflows.going_on.result_of(run.pk)
    result.revoke()
    run = ended(run)
    assert run.state == result.state == RunState.REVOKED
    assert run.error == "goes_on was cancelled"
    worker.wait_for("is cancelled by a revoke")

    # By the child's own id, and at once: the process of one that never reports is ended.
    run = workflows.silent.start(gate=gate.name)
    gate.reached()
    current_app.control.revoke(str(step(run, "silent").task_id), terminate=True)
    assert ended(run).state == RunState.REVOKED
    assert step(run, "silent").state == StepState.CANCELLED
    assert not TaskResult.objects.exclude(task_id__in=[run.pk, result.id]).filter(
        task_name="flows.silent"
    )

    # For a task that belongs to no run it is Celery's own.
    plain = tasks.noop.apply_async(countdown=60)
    worker.wait_for(f"flows.noop[{plain.id}] received")
    plain.revoke()
    until("the revoke", lambda: TaskResult.objects.filter(task_id=plain.id, status="REVOKED"))

    # The worker goes on.
    assert ended(workflows.noops.start()).state == RunState.SUCCESS
