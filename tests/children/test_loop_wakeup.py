"""A task that ends with an exception in a thread wakes the worker's event loop."""

from uuid import uuid4

import pytest
from billiard.einfo import ExceptionInfo
from celery import current_app
from celery.exceptions import Ignore
from kombu import Message
from kombu.asynchronous import Hub
from kombu.utils.imports import symbol_by_name

from children.worker.loop_wakeup import WakeStep
from parent.worker import foreign_tasks
from tests.flows.tasks import noop
from tests.flows.workflows import noops


def failed() -> ExceptionInfo:
    try:
        raise Ignore
    except Ignore:
        return ExceptionInfo(internal=True)


@pytest.mark.parametrize(
    "request_class",
    [noop.Request, noops.task.Request, foreign_tasks.REQUEST],
    ids=["child", "parent", "foreign"],
)
def test_a_failure_wakes_the_loop_once(request_class: str) -> None:
    hub = Hub()
    WakeStep(None).register_with_event_loop(None, hub)
    sent = current_app.amqp.as_task_v2(str(uuid4()), noop.name)
    message = Message(headers=sent.headers, body=sent.body, properties=sent.properties)
    request = symbol_by_name(request_class)(message, app=current_app, decoded=True)
    assert hub.poller.poll(0) == []

    request.on_failure(failed())

    [(descriptor, event)] = hub.poller.poll(0)
    read, arguments = hub.readers[descriptor]
    assert event == hub.READ
    read(*arguments)
    assert hub.poller.poll(0) == []
    hub.close()


def test_a_worker_starts_it() -> None:
    assert WakeStep in current_app.steps["worker"]
