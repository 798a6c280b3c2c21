"""A workflow runs to its end in the process of a team's test, whatever its children do."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import current_app, shared_task
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from children import Progress, child_task
from parent import Step, Workflow
from parent.inline import run_inline
from parent.messages.publish import AT_ONCE
from parent.models import Run, StepState
from tests.parent.bodies import as_child, as_foreign

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture(params=[False, True], ids=["", "propagates"])
def _eager(request: pytest.FixtureRequest) -> Iterator[None]:
    current_app.conf.task_always_eager = True
    current_app.conf.task_eager_propagates = request.param
    yield
    current_app.conf.task_always_eager = current_app.conf.task_eager_propagates = False


class Busy(Exception):
    """What a step is retried after."""


def failing(times: int, **options: Any) -> Any:
    """A child that fails so often, and then returns the number of its calls."""
    options.setdefault("name", "shop.busy")
    calls: list[int] = []

    @child_task(**options)
    def busy(progress: Progress) -> int:
        calls.append(1)
        if len(calls) <= times:
            raise Busy("shop is busy")
        return len(calls)

    return busy


def asking(times: int) -> Any:
    calls: list[int] = []

    @child_task(name="shop.busy")
    def busy(progress: Progress) -> int:
        calls.append(1)
        if len(calls) <= times:
            raise progress.retry(delay=3600)
        return len(calls)

    return busy


def foreign_failing(times: int) -> Any:
    calls: list[int] = []

    @shared_task(name="shop.busy")
    def busy() -> int:
        calls.append(1)
        if len(calls) <= times:
            raise Busy("shop is busy")
        return len(calls)

    return busy


AUTO = {"autoretry_for": (Busy,), "max_retries": 2, "default_retry_delay": 3600}
RETRYING: dict[str, Callable[[int], Step]] = {
    "a delay": lambda times: Step(failing(times), retries=2, retry_delay=3600),
    "no delay": lambda times: Step(failing(times), retries=2),
    "Celery's options": lambda times: Step(failing(times, **AUTO)),
    "a child that asks": lambda times: Step(asking(times), retries=2),
    "a foreign task": lambda times: Step(foreign_failing(times), retries=2, retry_delay=3600),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_eager")
@pytest.mark.parametrize("kind", RETRYING)
def test_an_eager_step_that_is_retried_ends_with_its_start(kind: str) -> None:
    following = Step(failing(0, name="shop.next"))
    run = Workflow("busy_shop", steps=[RETRYING[kind](2), following]).start()

    run.refresh_from_db()
    assert (run.state, run.error) == ("SUCCESS", None)
    assert list(run.steps.values_list("result", "attempt")) == [(3, 3), (1, 1)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_eager")
@pytest.mark.parametrize("kind", RETRYING)
def test_an_eager_step_that_fails_too_often_fails_its_run(kind: str) -> None:
    run = Workflow("busy_shop", steps=[RETRYING[kind](3)]).start()

    run.refresh_from_db()
    assert run.state == "FAILURE"
    assert str(run.error).endswith("(after 3 attempts)")


@pytest.mark.django_db
@pytest.mark.usefixtures("_eager")
def test_an_eager_run_ends_in_a_test_case_that_executes_what_waits_for_the_commit(
    django_capture_on_commit_callbacks: Any,
) -> None:
    flow = Workflow("busy_shop", steps=[RETRYING["a delay"](1), Step(failing(0, name="shop.next"))])
    with django_capture_on_commit_callbacks(execute=True):
        run = flow.start()

    run.refresh_from_db()
    assert (run.state, run.error) == ("SUCCESS", None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_eager")
def test_all_of_many_eager_steps_run() -> None:
    many = AT_ONCE + 1
    task = failing(0)
    run = Workflow("many", steps=[Step(task, name=f"s{i}", after=()) for i in range(many)]).start()

    run.refresh_from_db()
    assert run.state == "SUCCESS"
    assert run.steps.filter(state=StepState.OK).count() == many


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_eager")
def test_an_eager_step_that_fails_leaves_the_others_to_run() -> None:
    """It is an error of the run. Celery's option would raise it where the run was started."""
    steps = [Step(failing(9), after=()), Step(failing(0, name="shop.beside"), after=())]
    clean_up = Step(failing(0, name="shop.clean_up"), after=["beside", "busy"], when="always")

    run = Workflow("busy_shop", steps=[*steps, clean_up]).start()

    run.refresh_from_db()
    assert run.error == "Error in busy: shop is busy"
    assert list(run.steps.values_list("state", flat=True)) == ["ERROR", "OK", "OK"]


def add_twice() -> None:
    User.objects.create(username="ann")
    User.objects.create(username="ann")


def breaks() -> None:
    add_twice()


def breaks_the_outer_transaction() -> None:
    with transaction.atomic(savepoint=False):
        add_twice()


def catches() -> str:
    try:
        add_twice()
    except IntegrityError:
        return "it was there"
    return "both were new"


def catches_around_a_transaction() -> str:
    try:
        breaks_the_outer_transaction()
    except IntegrityError:
        return "it was there"
    return "both were new"


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [as_child, as_foreign])
@pytest.mark.parametrize(
    ("body", "state", "result"),
    [
        (breaks, "FAILURE", None),
        (breaks_the_outer_transaction, "FAILURE", None),
        (catches, "SUCCESS", "it was there"),
        (catches_around_a_transaction, "SUCCESS", "it was there"),
    ],
)
def test_a_child_that_breaks_the_tests_transaction_does_not_break_the_run(
    kind: Any, body: Callable[[], Any], state: str, result: str | None
) -> None:
    steps = [Step(kind(body)), Step(failing(0, name="shop.next"), when="always")]
    run = run_inline(Workflow("breaks", steps=steps))

    assert run.state == state
    assert ("UNIQUE" in str(run.error).upper()) == (state == "FAILURE")
    rows = list(run.steps.order_by("index").values_list("state", "result"))
    assert rows[1] == ("OK", 1)
    assert rows[0][1] == result
    assert Run.objects.count() == 1  # the test's transaction can be used


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [as_child, as_foreign])
def test_what_a_failing_child_wrote_stays_as_in_a_worker(kind: Any) -> None:
    def writes_and_fails() -> None:
        User.objects.create(username="ann")
        raise Busy("shop is busy")

    run = run_inline(Workflow("writes", steps=[Step(kind(writes_and_fails))]))

    assert run.error == "Error in body: shop is busy"
    assert User.objects.filter(username="ann").exists()


@child_task(name="inline.takes_anything")
def takes_anything(progress: Progress, **inputs: Any) -> None: ...


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "tells"),
    [
        (None, "`inputs` gave a value of type NoneType, not a dict"),
        ("ab", "`inputs` gave a value of type str, not a dict"),
        ([1], "`inputs` gave a value of type list, not a dict"),
        ({1: 2}, "`inputs` gave a key that is not text"),
    ],
    ids=repr,
)
def test_inputs_that_are_no_keyword_arguments_fail_their_step_and_say_so(
    given: Any, tells: str
) -> None:
    step = Step(takes_anything, name="a", inputs=lambda _run: given)
    run = run_inline(Workflow("odd", steps=[step]))

    assert (run.error or "").startswith(f"Error in the inputs of a: {tells}")
    assert [each.state for each in run.steps.all()] == [StepState.ERROR]
