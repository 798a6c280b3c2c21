"""Celery's daily cleanup of expired results does no harm to runs, living or ended."""

from datetime import timedelta

from celery import current_app
from celery.result import AsyncResult
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from parent.deletion.delete import delete_run
from parent.models import RunState, Step, StepState
from parent.store import clock, results
from parent.watch.queries import active_steps
from tests.flows import canvas
from tests.system.conftest import Gate, StartWorker
from tests.waiting import PATIENCE, ended, until

OLD = timedelta(days=400)
FOREIGN = ["an id that is not a UUID", "0f0e0d0c-0000-4000-8000-000000000001"]


def clean_up() -> None:
    """Let every stored result be as old as can be, and Celery's own task delete the expired."""
    for task_id in FOREIGN:
        current_app.backend.store_result(task_id, 1, "SUCCESS")
    TaskResult.objects.update(date_done=Now() - OLD)
    cleanup = current_app.tasks["celery.backend_cleanup"].apply_async()
    cleanup.get(timeout=PATIENCE)
    assert not TaskResult.objects.filter(task_id__in=FOREIGN).exists()


def state_of(task_id: str) -> str:
    return str(AsyncResult(task_id).state)


def test_runs_go_on_and_are_read_after_a_cleanup(start_worker: StartWorker, gate: Gate) -> None:
    start_worker("-P", "threads", "-c", "2")
    run = canvas.held.start(gate=gate.name)
    gate.reached()
    [step] = active_steps()
    step.reported_at = clock.now()
    results.mirror_children([step], clock.now())

    clean_up()

    living = {str(run.pk), str(step.task_id)}
    assert living <= set(TaskResult.objects.values_list("task_id", flat=True))
    until("its state", lambda: state_of(str(run.pk)) == "PROGRESS")
    assert state_of(str(step.task_id)) == "PROGRESS"
    assert Step.objects.get(pk=step.pk).state == StepState.RUNNING

    gate.open()
    assert AsyncResult(str(run.pk)).get(timeout=PATIENCE) == ended(run).result
    assert run.state == RunState.SUCCESS

    clean_up()

    assert AsyncResult(str(run.pk)).get(timeout=PATIENCE) == run.result
    delete_run(run)
    assert not TaskResult.objects.filter(task_id__in=living).exists()
