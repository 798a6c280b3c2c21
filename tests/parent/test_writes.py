"""Given a row that has changed since it was read, a write of it fails."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from parent.models import Run, Step, StepState
from parent.runs.start import start
from parent.store.writes.one_row import RowChanged, update_attempt, write_if
from parent.store.writes.update import write
from tests.flows import workflows

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    return start(workflows.noops, {})


def test_only_the_named_columns_are_written(run: Run) -> None:
    first, second, *_ = run.steps.all()
    for step in (first, second):
        step.message, step.iteration, step.kwargs = f"of {step.name}", 5, {"a": [step.index, None]}

    write([first, second], ("message", "kwargs"))

    rows = Step.objects.filter(pk__in=[first.pk, second.pk])
    assert list(rows.values_list("message", "iteration", "kwargs")) == [
        (f"of {first.name}", 0, {"a": [0, None]}),
        (f"of {second.name}", 0, {"a": [1, None]}),
    ]


def test_a_row_that_has_changed_rolls_back_all(run: Run) -> None:
    first, second, *_ = run.steps.all()
    first.message = second.message = "changed"

    def write_both() -> None:
        with transaction.atomic():
            write_if(first, ["message"], expected_state=first.state)
            write_if(second, ["message"], expected_state="OK")

    with pytest.raises(RowChanged):
        write_both()
    assert not Step.objects.filter(message="changed").exists()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="its planner's statistics")
def test_one_step_is_found_by_its_key_however_many_are_in_its_state(run: Run) -> None:
    """With the index of active steps, each claim would scan all queued steps."""
    with CaptureQueriesContext(connection) as captured:
        assert not update_attempt("x", {"publish_count": 1}, expected_state=StepState.QUEUED)
    with transaction.atomic(), connection.cursor() as cursor:
        # Once it has counted the few rows of a test, PostgreSQL would read them all.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {captured[0]['sql']}")
        plan = str(cursor.fetchall())

    assert "step_task_id_unique" in plan
    assert "step_active" not in plan
