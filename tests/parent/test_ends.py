"""The end of an attempt: few statements, with the run locked."""

import threading
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_celery_results.models import TaskResult

from children.meta import Meta
from parent.definition.workflow import Step as StepDefinition
from parent.definition.workflow import Workflow, registry
from parent.models import Executor, Run, Step
from parent.runs.cancel import cancel
from parent.runs.endings import end_attempt
from parent.runs.start import start
from tests.flows import tasks
from tests.parent.conftest import claimed, one
from tests.parent.locks import waiting
from tests.waiting import until

pytestmark = pytest.mark.django_db

OK = Meta().ok(7)


def states(run: Run) -> list[str]:
    run.refresh_from_db()
    assert TaskResult.objects.get(task_id=str(run.pk)).status == run.state
    return [run.state, *run.steps.values_list("state", flat=True)]


def statements(captured: CaptureQueriesContext) -> list[str]:
    """The verbs of the statements that read or write rows."""
    verbs = [query["sql"].lstrip("( ").split()[0] for query in captured.captured_queries]
    return [verb for verb in verbs if verb in ("SELECT", "UPDATE", "INSERT", "DELETE", "WITH")]


def test_it_reads_twice_and_writes_each_step_once(started: Any, executor: Executor) -> None:
    run = started()
    attempt = claimed(run)

    with CaptureQueriesContext(connection) as captured:
        attempt.finish(OK)

    # The run, its steps; the step that ended, the step that opened.
    assert statements(captured) == ["SELECT", "SELECT", "UPDATE", "UPDATE"]
    assert states(run) == ["PENDING", "OK", "QUEUED"]  # a tick updates the run's own row


def test_of_a_child_that_has_reported_its_row_is_deleted_too(
    started: Any, executor: Executor
) -> None:
    run = started()
    attempt = claimed(run)
    attempt.report(Meta(iteration=1, total=2))

    with CaptureQueriesContext(connection) as captured:
        attempt.finish(OK)

    assert statements(captured)[:4] == ["SELECT", "SELECT", "UPDATE", "UPDATE"]
    assert set(statements(captured)[4:]) <= {"SELECT", "DELETE"}
    assert not TaskResult.objects.filter(task_id=attempt.task_id).exists()


def test_a_deleted_result_is_written_again(started: Any, executor: Executor) -> None:
    run = started()
    attempt = claimed(run)
    TaskResult.objects.all().delete()

    attempt.finish(OK)
    last = Step.objects.get(run=run, name="noop")
    Step.objects.filter(pk=last.pk).update(state="RUNNING")

    assert end_attempt(str(last.task_id), OK)
    assert states(run) == ["SUCCESS", "OK", "OK"]


def test_the_first_of_two_ends_counts(started: Any, executor: Executor) -> None:
    run = started()
    attempt = claimed(run)

    assert end_attempt(attempt.task_id, Meta().ok("first"))
    attempt.finish(OK)

    assert states(run) == ["PENDING", "OK", "QUEUED"]
    assert one(run).result == "first"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one lock for all rows")
@pytest.mark.django_db(transaction=True)
def test_it_waits_for_a_transaction_that_locks_the_run_and_sees_its_changes(
    started: Any, executor: Executor
) -> None:
    run = started()
    attempt = claimed(run)

    def finish() -> None:
        attempt.finish(OK)
        connection.close()

    ending = threading.Thread(target=finish)
    with transaction.atomic():
        cancel(run.pk)
        ending.start()
        until("it waits for the lock", waiting)
    ending.join()

    assert states(run) == ["REVOKED", "OK", "CANCELLED"]


def test_inputs_that_break_a_query_are_the_next_steps_error(executor: Executor) -> None:
    """The end of the step before is in the same transaction, and counts all the same."""

    def inputs(_: Any) -> dict[str, Any]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM no_such_table")
        return {}

    steps = [StepDefinition(tasks.noop, name="one"), StepDefinition(tasks.noop, inputs=inputs)]
    try:
        run = start(Workflow("attempted", steps=steps), {})
        claimed(run).finish(OK)
    finally:
        registry._workflows.pop("attempted", None)

    assert states(run) == ["FAILURE", "OK", "ERROR"]
    assert run.error is not None
    assert run.error.startswith("Error in the inputs of noop: ")
