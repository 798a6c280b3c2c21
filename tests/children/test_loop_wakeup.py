"""A task that ends with an exception in a thread wakes the worker's event loop."""

from typing import Any
from uuid import uuid4

import pytest
from billiard.einfo import ExceptionInfo
from celery import current_app
from celery.exceptions import Ignore
from kombu import Message
from kombu.asynchronous import Hub
from kombu.utils.imports import symbol_by_name

from children.worker import loop_wakeup
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
def test_a_failure_wakes_the_loop_once(request_class: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_wakeup, "_write_end", None)  # as in a new process
    hub = Hub()
    WakeStep(None).register_with_event_loop(None, hub)
    sent = current_app.amqp.as_task_v2(str(uuid4()), noop.name)
    body: Any = sent.body
    message = Message(headers=sent.headers, body=body, properties=sent.properties)
    request = symbol_by_name(request_class)(message, app=current_app, decoded=True)
    assert hub.poller.poll(0) == []

    request.on_failure(failed())

    [(descriptor, event)] = hub.poller.poll(0)
    assert event == hub.READ
    callback: Any = hub.readers[descriptor]  # with its arguments
    callback[0](*callback[1])
    assert hub.poller.poll(0) == []
    hub.close()


def test_a_worker_starts_it() -> None:
    assert WakeStep in current_app.steps["worker"]
