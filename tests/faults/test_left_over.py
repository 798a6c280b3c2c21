"""What Celery stores for a foreign task whose attempt has ended is deleted."""

import psutil
from django.conf import LazySettings
from django_celery_results.models import TaskResult

from parent.deletion import orphan_results
from parent.models import Run, RunState
from parent.runs.cancel import cancel
from tests.faults.conftest import Gate, StartWorker
from tests.faults.invariants import assert_sound
from tests.flows import faults
from tests.waiting import ended, until
from tests.workers import Worker


def left_over(run: Run) -> bool:
    return TaskResult.objects.exclude(task_id=str(run.pk)).exists()


def test_of_one_that_is_terminated(
    watcher: Worker, start_worker: StartWorker, gate: Gate, settings: LazySettings
) -> None:
    settings.WORKFLOW_CANCEL_GRACE = 1
    start_worker("prefork")
    run = faults.foreign_held.start(gate=gate.name)
    process = psutil.Process(gate.reached())

    cancel(run.pk)

    assert ended(run).state == RunState.REVOKED
    until("the end of its process", lambda: not process.is_running())
    until("what Celery stores then", lambda: left_over(run))
    orphan_results.delete_recent()  # as the watcher does, within half a minute
    assert_sound(run)


def test_of_one_that_nobody_can_terminate(
    start_worker: StartWorker, gate: Gate, settings: LazySettings
) -> None:
    settings.WORKFLOW_CANCEL_GRACE = 1
    worker = start_worker("threads")
    run = faults.foreign_held.start(gate=gate.name)
    gate.reached()

    cancel(run.pk)

    assert ended(run).state == RunState.REVOKED
    gate.open()
    worker.wait_for("outcome dropped: the attempt no longer counts")
    until("nothing left over", lambda: not left_over(run))
    assert_sound(run)
