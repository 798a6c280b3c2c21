"""A start of a workflow with a limit, over HTTP and on the page."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from parent import Concurrency, Step, Workflow
from parent.definition.concurrency import WhenFull
from parent.models import Run
from tests.flows import tasks

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture
def post(api: Any) -> Any:
    """A function that starts a run as a user."""

    def start(user: User) -> Any:
        return api(user).post(reverse("monitor:workflow-start", args=["limited"]), {})

    return start


def limited(when_full: WhenFull) -> Workflow:
    steps = [Step(tasks.noop, inputs=lambda _: {})]
    return Workflow("limited", steps=steps, concurrency=Concurrency(when_full=when_full))


def test_a_run_that_waits_is_started_all_the_same(post: Any, owner: User, other: User) -> None:
    limited("queue")
    post(owner)

    answer = post(other)

    assert (answer.status_code, answer.json()["state"]) == (202, "PENDING")
    assert answer.json()["message"] == "waits for its turn"
    assert "Workflow-Start" not in answer


@pytest.mark.parametrize(
    ("when_full", "header"), [("skip", "skipped"), ("return_existing", "existing")]
)
def test_the_run_that_goes_on_is_the_answer(
    post: Any, owner: User, staff: User, when_full: WhenFull, header: str
) -> None:
    limited(when_full)
    first = post(owner)

    for user in (owner, staff):
        answer = post(user)
        assert (answer.status_code, answer["Workflow-Start"]) == (200, header)
        assert answer.json()["task_id"] == first.json()["task_id"]
        assert answer["Location"] == first["Location"]
    assert first.status_code == 202
    assert Run.objects.count() == 1


@pytest.mark.parametrize("when_full", ["skip", "return_existing"])
def test_a_run_of_somebody_else_is_not_shown(
    post: Any, owner: User, other: User, when_full: WhenFull
) -> None:
    limited(when_full)
    first = post(owner).json()["task_id"]

    answer = post(other)

    assert answer.status_code == 409
    assert answer.json()["detail"] == (
        "A run of somebody else goes on already, and no other may: start it again later."
    )
    assert first not in answer.content.decode()


def test_the_form_leads_to_the_run_that_goes_on(client: Client, owner: User) -> None:
    limited("skip")
    client.force_login(owner)
    form = reverse("monitor:start-workflow", args=["limited"])

    first, second = (client.post(form)["Location"] for _ in range(2))

    assert first == second
