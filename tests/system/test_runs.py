"""Given a worker and a workflow, a run goes to its end on one id."""

import uuid
from typing import Any

import pytest
from celery import Celery, current_app
from django.db import transaction
from django_celery_results.models import TaskResult

from children.meta import Status
from examples.main_flow.workflows import main_flow
from parent.models import Run, RunState, StepState
from parent.watch.decide import watch
from tests.flows import tasks, workflows
from tests.system.conftest import Gate, StartWorker, step
from tests.waiting import PATIENCE, ended, until
from tests.workers import Worker


def result_ids() -> set[str]:
    return set(TaskResult.objects.values_list("task_id", flat=True))


def test_main_flow_ends_ok_and_leaves_only_the_parents_result(worker: Worker) -> None:
    result = main_flow.delay(limit=2)

    assert result.get(timeout=PATIENCE) == {
        "below": 40_000,
        "primes": 4_203,
        "start": 3_711,
        "length": 237,
        "estimate": pytest.approx(4_232, rel=0.01),
        "ratio": pytest.approx(1, abs=0.02),
    }
    run = Run.objects.get(pk=result.id)
    assert (run.state, run.completion, run.error) == (RunState.SUCCESS, 100.0, None)
    assert [s.state for s in run.steps.all()] == [StepState.OK] * 3
    assert result_ids() == {result.id}


def test_one_id_shows_the_meta_of_whichever_child_runs(worker: Worker, gate: Gate) -> None:
    result = workflows.gate.delay(gate=gate.name)
    gate.reached()

    info: Any = until("a mirrored report", lambda: result.info if result.info["total"] else None)

    assert str(result.state) == "PROGRESS"
    assert info == {
        "iteration": 3,
        "total": 10,
        "completion": 15.0,  # 30 % of the first of two steps
        "status": "PROGRESS",
        "message": "gated: waiting at the gate",
        "error": None,
    }
    child = step(Run.objects.get(pk=result.id), "gated")
    assert current_app.AsyncResult(str(child.task_id)).info["iteration"] == 3
    gate.open()
    assert result.get(timeout=PATIENCE) is None


def test_results_flow_from_step_to_step(worker: Worker) -> None:
    assert workflows.sums.delay(a=5).get(timeout=PATIENCE) == 14


def test_side_by_side_steps_both_finish_before_the_one_after_them(
    start_worker: StartWorker,
) -> None:
    start_worker("-P", "threads", "-c", "4")

    runs = [workflows.diamond.start(a=a) for a in range(20)]

    assert [ended(run).result for run in runs] == [2 * a + 30 for a in range(20)]


def test_a_bare_celery_client_starts_a_run(worker: Worker, broker: str) -> None:
    with Celery("stranger", broker=broker, set_as_current=False, fixups=[]) as stranger:
        sent = stranger.send_task("parent.main_flow", kwargs={"limit": 1})

    run = until("the run's row", lambda: Run.objects.filter(pk=sent.id).first())

    assert ended(run).state == RunState.SUCCESS
    assert current_app.AsyncResult(sent.id).get(timeout=5)["primes"] == 2_262


def test_a_bare_clients_bad_parameters_come_back_as_a_failure(worker: Worker, broker: str) -> None:
    with Celery("stranger", broker=broker, set_as_current=False, fixups=[]) as stranger:
        sent = stranger.send_task("parent.main_flow", kwargs={"limit": "many"})

    with pytest.raises(Exception, match=r"limit: A valid integer is required\."):
        current_app.AsyncResult(sent.id).get(timeout=PATIENCE)
    assert not Run.objects.exists()


def test_a_run_started_in_a_transaction_is_published_when_it_commits(worker: Worker) -> None:
    with transaction.atomic():
        run = workflows.noops.start()
        with current_app.connection_for_read() as connection:
            queue: Any = connection.default_channel
            assert queue.queue_declare(queue="celery").message_count == 0

    assert ended(run).state == RunState.SUCCESS


def test_a_run_started_in_a_transaction_that_fails_never_was(worker: Worker) -> None:
    with transaction.atomic():
        workflows.noops.start()
        transaction.set_rollback(True)

    assert not Run.objects.exists()
    assert result_ids() == set()


def test_a_failing_child_ends_the_run_with_its_error(worker: Worker) -> None:
    result = workflows.broken.delay()

    with pytest.raises(Exception, match="Error in fails: it is broken"):
        result.get(timeout=PATIENCE)
    run = Run.objects.get(pk=result.id)
    assert (run.state, run.error) == (RunState.FAILURE, "Error in fails: it is broken")
    assert [s.state for s in run.steps.all()] == ["OK", "ERROR", "SKIPPED"]
    failed = step(run, "fails")
    assert (failed.iteration, failed.total) == (7, 10)
    assert "tests.flows.tasks.Trouble: it is broken" in failed.traceback
    assert result_ids() == {result.id}
    # For Celery, and so for Sentry and Flower, it is an ordinary failure, once.
    worker.wait_for("Task flows.fails")
    assert worker.log.read_text().count("raised unexpected: Trouble('it is broken')") == 1


@pytest.mark.parametrize(
    ("workflow", "error"),
    [
        ("not_json", "Error in returns_a_set: the result is not JSON: Object of type set"),
        ("bad_inputs", "Error in the inputs of add: KeyError: 'x'"),
        ("wrong_inputs", "Error in the inputs of add: "),
    ],
)
def test_what_an_author_gets_wrong_is_an_error_that_names_it(
    worker: Worker, workflow: str, error: str
) -> None:
    run = ended(getattr(workflows, workflow).start())

    assert run.state == RunState.FAILURE
    assert run.error is not None
    assert run.error.startswith(error)


def test_a_foreign_task_is_a_step_like_any_other(worker: Worker) -> None:
    run = ended(workflows.foreign.start(a=4))

    assert (run.state, run.result) == (RunState.SUCCESS, [4, 4])
    until("the children's results deleted", lambda: result_ids() == {str(run.pk)})


def test_a_child_in_the_blog_patterns_style_is_mirrored_and_its_error_kept(
    worker: Worker, gate: Gate
) -> None:
    run = workflows.blog.start(gate=gate.name)
    gate.reached()
    until("its report", lambda: step(run, "blog").message == "by hand")
    assert step(run, "blog").completion == 50.0
    gate.open()

    assert ended(run).error == "Error in blog: it told so itself"


def test_a_child_without_a_parent_keeps_its_meta_in_its_own_result(
    worker: Worker, gate: Gate
) -> None:
    task: Any = tasks.gated
    result = task.delay(gate=gate.name)
    gate.reached()

    assert result.state == "PROGRESS"
    assert result.info["message"] == "waiting at the gate"
    gate.open()
    outcome = watch(result, timeout=PATIENCE)
    assert (outcome.status, outcome.result, outcome.iteration) == (Status.OK, "gate", 10)
    assert result.get(timeout=5) == outcome.as_dict()


def test_watch_names_the_failed_child_and_says_why(worker: Worker) -> None:
    task: Any = tasks.fails

    outcome = watch(task.delay(message="no paper"), timeout=PATIENCE)

    assert (outcome.status, outcome.error) == (Status.ERROR, "Error in fails: no paper")


def test_watch_gives_up_on_a_child_that_never_starts(broker: str, db: None) -> None:
    task: Any = tasks.noop

    outcome = watch(task.apply_async(queue="nobody"), timeout=0.3)

    assert outcome.error == (
        "the child did not start within 0.3 s: is a worker consuming its queue?"
    )


def test_fifty_runs_at_once_on_one_slot_all_end_ok(start_worker: StartWorker) -> None:
    """A parent that waited for its child in the only slot would deadlock."""
    start_worker("-P", "prefork", "-c", "1")

    runs = [main_flow.start(limit=1) for _ in range(50)]

    assert {ended(run, timeout=120).state for run in runs} == {RunState.SUCCESS}
    assert result_ids() == {str(run.pk) for run in runs}


def test_an_id_that_is_no_uuid_is_refused(worker: Worker) -> None:
    result = main_flow.task.apply_async(kwargs={"limit": 1}, task_id=f"mine-{uuid.uuid4()}")

    with pytest.raises(Exception, match="A run's id is a UUID"):
        result.get(timeout=PATIENCE)


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_parents_sent_by_a_bare_client_end(
    start_worker: StartWorker, broker: str, pool: str
) -> None:
    start_worker("-P", pool, "-c", "1")
    for _ in range(50):
        current_app.send_task("parent.noops")

    ended_well = Run.objects.filter(state=RunState.SUCCESS)
    until("50 runs", lambda: ended_well.count() == 50)
