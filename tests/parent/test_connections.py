"""PostgreSQL keeps the engine's statements prepared, where the project allows it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from mainproj.database import with_options
from parent.models import Run, Step, StepState
from parent.store import connections
from parent.store.writes.one_row import update_attempt
from parent.store.writes.update import update_rows

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL plans them"),
]
SENT = 7
"""Times that a statement is sent here: more than the threshold, and than PostgreSQL's own."""


@pytest.fixture
def threshold() -> Iterator[None]:
    """The connection as the service has it, whatever earlier tests did."""
    opened: Any = connection.connection
    before, opened.prepare_threshold = opened.prepare_threshold, 1
    yield
    opened.prepare_threshold = before


def claim_often() -> None:
    for _ in range(SENT):
        assert not update_attempt("x", {"publish_count": 1}, expected_state=StepState.QUEUED)


def prepared() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(statement, ' ') FROM pg_prepared_statements")
        return str(cursor.fetchone()[0])


@pytest.mark.usefixtures("threshold")
def test_a_statement_that_is_sent_often_is_prepared() -> None:
    claim_often()

    assert 'UPDATE "parent_step" SET "publishes" = $1' in prepared()


@pytest.mark.usefixtures("threshold")
def test_none_is_prepared_where_the_project_does_not_allow_it() -> None:
    opened: Any = connection.connection
    opened.prepare_threshold = None
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")

    claim_often()

    assert "parent_step" not in prepared()


@pytest.mark.usefixtures("threshold")
def test_the_statements_of_others_stay_as_they_are() -> None:
    for _ in range(SENT):
        list(Run.objects.filter(workflow="unprepared"))

    assert "unprepared" not in prepared()


@pytest.mark.usefixtures("threshold")
def test_a_plan_for_a_small_table_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each write of a row would read all of a table that has grown since."""
    run = Run.objects.create(workflow="w")
    first = Step.objects.create(run=run, index=0, name="s", task="t")
    change = {"id": first.pk, "message": "new"}
    for _ in range(SENT):
        update_rows(Step, [change], key="id")
    more = [Step(run=run, index=n, name=f"m{n}", task="t") for n in range(1, 5_000)]
    Step.objects.bulk_create(more, batch_size=1_000)
    monkeypatch.setattr(connections, "REPLAN_AFTER", 0.0)

    before = rows_read_in_sequence()
    update_rows(Step, [change], key="id")

    assert rows_read_in_sequence() - before < 5_000


def rows_read_in_sequence() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'parent_step'"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize(("max_age", "expected"), [(60, 5), (0, None)])
def test_with_a_pooler_the_service_prepares_none(max_age: int, expected: int | None) -> None:
    made = with_options({"ENGINE": "django.db.backends.postgresql", "NAME": "n"}, max_age)

    assert made["OPTIONS"].get("prepare_threshold") == expected
