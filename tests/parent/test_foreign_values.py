"""What a foreign task reports, returns and raises, as its step shows it."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import current_app
from celery.exceptions import TimeLimitExceeded
from django.utils import timezone
from django_celery_results.models import TaskResult

from children import Progress, child_task
from parent import Step, Workflow
from parent.inline import run_inline
from parent.models import Run
from parent.models import Step as StepRow
from parent.watch.decide import End, Mirror, Watched, watch_once
from parent.watch.queries import stored
from tests.parent.bodies import as_child, as_foreign

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]


KINDS = pytest.mark.parametrize("kind", [as_child, as_foreign])

VALUES = [
    (Decimal("1.50"), "1.50"),
    (datetime(2024, 5, 1, 8, 30, tzinfo=UTC), "2024-05-01T08:30:00+00:00"),
    ({"days": [date(2024, 5, 1)]}, {"days": ["2024-05-01"]}),
    (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
]


@KINDS
@pytest.mark.parametrize(("value", "plain"), VALUES, ids=repr)
def test_a_result_is_stored_and_the_next_step_gets_it(kind: Any, value: Any, plain: Any) -> None:
    @child_task(name="shop.next")
    def following(progress: Progress, given: Any) -> Any:
        return given

    flow = Workflow(
        "values",
        steps=[
            Step(kind(lambda: value)),
            Step(following, inputs=lambda run: {"given": run.results["body"]}),
        ],
    )
    run = run_inline(flow)

    assert (run.error, run.result) == (None, plain)
    assert StepRow.objects.get(run=run, name="body").result == plain


@KINDS
def test_the_result_of_a_run_may_have_such_values(kind: Any) -> None:
    flow = Workflow("values", steps=[Step(kind(lambda: 1))], result=lambda _: {"sum": Decimal(5)})
    run = run_inline(flow)
    assert (run.error, run.result) == (None, {"sum": "5"})
    assert Run.objects.get(pk=run.pk).result == {"sum": "5"}


@KINDS
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError(3), "Error in body: ValueError: 3"),
        (KeyError("nope"), "Error in body: KeyError: 'nope'"),
        (LookupError(("a", 1)), "Error in body: LookupError: ('a', 1)"),
        (ValueError(), "Error in body: ValueError"),
        (ValueError("no paper left"), "Error in body: no paper left"),
    ],
    ids=repr,
)
def test_an_error_says_what_it_is(kind: Any, error: Exception, text: str) -> None:
    def fails() -> None:
        raise error

    assert run_inline(Workflow("values", steps=[Step(kind(fails))])).error == text


def verdict(state: str, value: Any) -> Any:
    """What a tick does about a running step after Celery stored this."""
    task_id = str(uuid4())
    current_app.backend.store_result(task_id, value, state)
    row = stored(TaskResult.objects.get(task_id=task_id))
    now = timezone.now()
    return watch_once(Watched(name="body", queued_at=now, started_at=now), row, now)


@pytest.mark.parametrize(("value", "plain"), VALUES, ids=repr)
def test_a_tick_reads_a_result_that_celery_stored(value: Any, plain: Any) -> None:
    match verdict("SUCCESS", value):
        case End(outcome):
            assert (outcome.error, outcome.result) == (None, plain)
        case other:
            raise AssertionError(other)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError(3), "ValueError: 3"),
        (KeyError("nope"), "KeyError: 'nope'"),
        (
            TimeLimitExceeded(3),
            "it did not finish within its hard time limit of 3 s (TimeLimitExceeded)",
        ),
    ],
    ids=repr,
)
def test_a_tick_reads_an_error_that_celery_stored(error: Exception, text: str) -> None:
    match verdict("FAILURE", error):
        case End(outcome):
            assert outcome.error == f"Error in body: {text}"
        case other:
            raise AssertionError(other)


def test_a_tick_shows_the_percentage_of_celerys_own_meta() -> None:
    match verdict("PROGRESS", {"current": 3, "total": 12}):
        case Mirror(meta, _):
            assert (meta.iteration, meta.total, meta.completion) == (3, 12, 25.0)
        case other:
            raise AssertionError(other)
