"""Few rows, few round trips: the same on both databases, errors too."""

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from parent.models import Run, Step
from parent.runs.start import start
from parent.store.rows import Overtaken, Select, Update, apply, select_all, update, update_row
from tests.flows import workflows

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    return start(workflows.noops, {})


def test_rows_come_as_the_model_has_them(run: Run) -> None:
    runs, steps = select_all(
        Select(Run, "id = %s", run.pk, lock=True),
        Select(Step, 'run_id = %s ORDER BY "index"', run.pk),
    )

    assert runs == [run]
    assert steps == list(run.steps.all())
    for row in (*runs, *steps):
        names = [field.attname for field in type(row)._meta.concrete_fields]
        same: Any = type(row).objects.get(pk=row.pk)
        assert [getattr(row, n) for n in names] == [getattr(same, n) for n in names]


def test_updates_say_which_of_them_found_a_row(run: Run) -> None:
    first, second, *_ = run.steps.all()

    found = apply(
        update(Run, {"message": "first", "result": {"a": [1, None]}}, id=run.pk),
        update(Step, {"message": "never"}, id=first.pk, state="OK"),
        update(Step, {"message": "second"}, id=second.pk, state=second.state),
    )

    run.refresh_from_db()
    assert found == [True, False, True]
    assert (run.message, run.result) == ("first", {"a": [1, None]})
    assert set(run.steps.values_list("message", flat=True)) == {"", "second"}


def test_times_are_the_databases(run: Run) -> None:
    assert update_row(Run, {}, times={"started_at": 0.0, "due_at": 60.0}, id=run.pk)

    run.refresh_from_db()
    assert run.started_at is not None
    assert run.due_at is not None
    assert (run.due_at - run.started_at).total_seconds() == pytest.approx(60, abs=0.1)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_error_is_one_of_djangos_wherever_it_shows(run: Run, count: int) -> None:
    """What waits out an outage knows Django's errors, and no driver's."""
    statements = [Update("UPDATE no_such_table SET a = 1", [])] * count

    with pytest.raises(DatabaseError), transaction.atomic():
        apply(*statements)

    assert Run.objects.filter(pk=run.pk).exists()


def test_a_required_row_that_is_not_as_it_was_undoes_all(run: Run) -> None:
    first = run.steps.get(index=0)

    with pytest.raises(Overtaken), transaction.atomic():
        apply(
            update(Step, {"message": "changed"}, id=first.pk),
            update(Run, {"message": "never"}, required=True, id=run.pk, state="SUCCESS"),
        )

    first.refresh_from_db()
    assert first.message == ""


@pytest.mark.skipif(connection.vendor != "postgresql", reason="its planner's statistics")
def test_one_step_is_found_by_its_key_however_many_are_in_its_state(run: Run) -> None:
    """By the index of active steps a claim would go through all that are queued."""
    claim = update(Step, {"state": "RUNNING"}, task_id="x", state="QUEUED")

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {claim.sql}", claim.params)
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "step_task_id_unique" in plan
    assert "step_active" not in plan
