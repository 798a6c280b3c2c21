"""Routes to queues that Celery's settings neither name nor make: a check finds them, and neither a
tick nor what is sent beside them fails by one."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import current_app
from celery.app.amqp import Queues
from celery.app.routes import Router, prepare
from django.db.models.functions import Now
from kombu import Queue

from parent import Step, Workflow
from parent.checks import check_workflow
from parent.messages import publish
from parent.models import Executor, StepState
from parent.models import Step as StepRow
from parent.runs.start import start
from parent.watch.tick import Ticker
from tests.flows import tasks

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]

NOWHERE = "'nowhere' missing from task_queues"


def by_function(name: str, *_: Any, **__: Any) -> str | None:
    return "nowhere" if name == tasks.noop.name else None


ROUTES: dict[str, Any] = {
    "a map": {tasks.noop.name: {"queue": "nowhere"}},
    "a pattern": [{"flows.noo*": "nowhere"}],
    "a function": by_function,
}


@pytest.fixture
def route(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    """Sets `task_routes`, with `task_create_missing_queues` off."""
    app: Any = current_app

    def use(routes: Any) -> None:
        queues = Queues([Queue(app.conf.task_default_queue)], create_missing=False)
        router = Router(prepare(routes), queues, app=app)
        monkeypatch.setitem(app.amqp.__dict__, "router", router)
        publish._default_queue.cache_clear()

    yield use
    publish._default_queue.cache_clear()


@pytest.mark.parametrize("kind", ROUTES)
def test_a_check_finds_a_route_to_nowhere(route: Callable[[Any], None], kind: str) -> None:
    workflow = Workflow(
        "routed", steps=[Step(tasks.noop), Step(tasks.add, inputs=lambda _: {"a": 1, "b": 2})]
    )
    route(None)
    assert not [each for each in check_workflow(workflow) if each.id == "workflows.E025"]

    route(ROUTES[kind])

    [error] = [each for each in check_workflow(workflow) if each.id == "workflows.E025"]
    assert f"step 'noop' cannot be sent: Queue {NOWHERE}" in str(error.msg)


def test_so_it_does_with_a_queue_of_the_step(route: Callable[[Any], None]) -> None:
    workflow = Workflow("queued", steps=[Step(tasks.noop, queue="nowhere")])
    route(None)

    [error] = [each for each in check_workflow(workflow) if each.id == "workflows.E025"]

    assert NOWHERE in str(error.msg)


def waiting(broker_queue: str = "celery") -> int:
    with current_app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        return int(channel.queue_declare(queue=broker_queue).message_count)


@pytest.mark.parametrize("kind", ROUTES)
def test_what_is_beside_it_is_sent(broker: str, route: Callable[[Any], None], kind: str) -> None:
    lost = Workflow("lost", steps=[Step(tasks.noop)])
    other = Workflow("other", steps=[Step(tasks.add, inputs=lambda _: {"a": 1, "b": 2})])
    for workflow in (lost, other):
        start(workflow, {})
    rows = StepRow.objects.filter(state=StepState.QUEUED).select_related("run")
    route(ROUTES[kind])

    publish.publish_steps(sorted(rows, key=lambda row: row.name != "noop"))  # the lost one first

    assert waiting() == 1


@pytest.mark.parametrize("kind", ROUTES)
def test_a_tick_goes_on(broker: str, route: Callable[[Any], None], kind: str) -> None:
    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)
    while not ticker.tick():
        pass
    lost = Workflow("lost", steps=[Step(tasks.noop)])
    other = Workflow("other", steps=[Step(tasks.add, inputs=lambda _: {"a": 1, "b": 2})])
    for workflow in (lost, other):
        start(workflow, {})
    route(ROUTES[kind])
    StepRow.objects.update(due_at=Now())

    ticker.tick()

    assert waiting() == 1
    assert publish.queue_of(StepRow(task=tasks.noop.name)) == "nowhere"
