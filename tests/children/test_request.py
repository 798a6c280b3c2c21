"""The worker's request of a message that a host has sent."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app

from children import host
from children.worker.request import ChildRequest
from examples.main_flow.tasks import func_1
from tests.children.conftest import MemoryHost


def request(**headers: Any) -> ChildRequest:
    message = SimpleNamespace(
        headers={"id": "7", "task": func_1.name, **headers},
        properties={},
        delivery_info={},
        body=None,
        payload=([], {}, {}),
        content_type="application/json",
        content_encoding="utf-8",
    )
    return ChildRequest(message, app=current_app, task=func_1)


@pytest.mark.usefixtures("memory_host")
def test_celery_does_not_store_the_result_of_an_attempt() -> None:
    attempt = request(**{host.HEADER: "anything", "ignore_result": False})

    assert attempt.ignore_result
    assert attempt.request_dict["ignore_result"] is True


def test_celery_stores_the_result_of_a_plain_task(memory_host: MemoryHost) -> None:
    assert not request(ignore_result=False).ignore_result
    assert memory_host.claimed == []
