"""Updates of many rows with different values, in one statement."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from parent.models import Executor, Run, Step
from parent.store.writes.update import update_rows

pytestmark = pytest.mark.django_db

NOON = datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def steps() -> list[Step]:
    run = Run.objects.create(workflow="main_flow")
    return [
        Step.objects.create(run=run, index=n, name=f"s{n}", task="children.func_1", message="old")
        for n in range(3)
    ]


def written(step: Step, **values: Any) -> Step:
    """Update only this row; returns it as read afterwards."""
    assert update_rows(Step, [{"id": step.pk, **values}], key="id") == 1
    return Step.objects.get(pk=step.pk)


def test_each_row_gets_its_own_values_in_one_statement(steps: list[Step]) -> None:
    rows = [{"id": s.pk, "iteration": 10 + s.index, "message": f"of {s.name}"} for s in steps[:2]]
    with CaptureQueriesContext(connection) as queries:
        assert update_rows(Step, rows, key="id") == 2
    assert len(queries) == 1
    found = Step.objects.values_list("name", "iteration", "message")
    assert list(found) == [("s0", 10, "of s0"), ("s1", 11, "of s1"), ("s2", 0, "old")]


def test_without_rows_there_is_no_statement() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert update_rows(Step, [], key="id") == 0
    assert len(queries) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iteration", 2**63 - 1),
        ("total", None),
        ("total", 0),
        ("completion", 100 / 3),
        ("completion", 1e-9),
        ("message", ""),
        ("message", 'it\'s 100 % of "it", ü\N{GRINNING FACE}\n\\ {0} %s :name'),
        ("message", '{"json": [1]}'),
        ("message", "null"),
        ("message", "12"),
        ("error", None),
        ("reported_at", NOON),
        ("reported_at", NOON.replace(microsecond=0)),
        ("due_at", None),
        ("state", "CANCELLED"),
    ],
)
def test_a_value_arrives_as_it_was(steps: list[Step], name: str, value: object) -> None:
    assert getattr(written(steps[1], **{name: value}), name) == value


def test_the_other_columns_stay(steps: list[Step]) -> None:
    before = Step.objects.values().get(pk=steps[0].pk)
    written(steps[0], iteration=5)
    assert Step.objects.values().get(pk=steps[0].pk) == before | {"iteration": 5}


def test_a_foreign_key_is_a_value_too(steps: list[Step]) -> None:
    executor = Executor.objects.create(host="w1", pid=7)
    assert written(steps[0], executor=executor.pk).executor == executor
    assert written(steps[0], executor=None).executor is None


def test_rows_are_found_by_any_column(steps: list[Step]) -> None:
    run = steps[0].run
    other = Run.objects.create(workflow="main_flow")
    assert update_rows(Run, [{"id": run.pk, "version": 7}], key="id") == 1
    assert update_rows(Step, [{"name": "s1", "total": 9}], key="name") == 1
    assert Run.objects.get(pk=run.pk).version == 7
    assert Run.objects.get(pk=other.pk).version == 1
    assert list(Step.objects.values_list("total", flat=True)) == [None, 9, None]


def test_a_deleted_row_is_skipped(steps: list[Step]) -> None:
    rows = [{"id": uuid4(), "version": 7}, {"id": steps[0].run_id, "version": 8}]
    assert update_rows(Run, rows, key="id") == 1


def test_rows_that_meet_the_condition_are_not_updated(steps: list[Step]) -> None:
    Step.objects.filter(pk=steps[1].pk).update(state="QUEUED", task_id="an attempt")
    rows = [{"id": step.pk, "total": 9} for step in steps]
    assert update_rows(Step, rows, key="id", unless="t.state = 'QUEUED'") == 2
    assert list(Step.objects.values_list("total", flat=True)) == [9, None, 9]


def test_a_thousand_rows_are_one_statement(steps: list[Step]) -> None:
    run = steps[0].run
    many = Step.objects.bulk_create(
        Step(run=run, index=n, name=f"s{n}", task="children.func_1") for n in range(10, 1010)
    )
    rows = [{"id": step.pk, "iteration": step.index} for step in many]
    with CaptureQueriesContext(connection) as queries:
        assert update_rows(Step, rows, key="id") == 1000
    assert len(queries) == 1
    assert all(step.iteration == step.index for step in Step.objects.filter(index__gte=10))


def test_many_large_rows_are_several_statements(
    steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parent.store.writes.json_rows.BATCH_SIZE", 100)
    rows = [{"id": step.pk, "message": step.name * 30} for step in steps]

    with CaptureQueriesContext(connection) as queries:
        assert update_rows(Step, rows, key="id") == 3

    assert len(queries) == 3
    assert set(Step.objects.values_list("message", flat=True)) == {s.name * 30 for s in steps}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="its planner")
def test_one_row_of_thousands_is_found_by_its_key(steps: list[Step]) -> None:
    run = steps[0].run
    more = [Step(run=run, index=n, name=f"m{n}", task="t") for n in range(3, 3_003)]
    Step.objects.bulk_create(more)
    with CaptureQueriesContext(connection) as queries:
        update_rows(Step, [{"id": steps[0].pk, "message": "new"}], key="id")

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE parent_step")
        cursor.execute(f"EXPLAIN {queries[0]['sql']}")
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "Seq Scan on parent_step" not in plan
