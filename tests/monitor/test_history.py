"""The run page's buttons and its history, without JavaScript."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.asserts import assertRedirects

from monitor.pages.history import Entry, entries
from parent.models import Attempt, Event, Run, Step
from parent.runs.cancel import cancel
from parent.runs.user_retry.retry import retry
from tests.flows import workflows
from tests.monitor.runs import claimed, fail, finish, states

MakeRun = Callable[..., Run]
NOW = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def signed_in(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


def page(client: Client, run: Run) -> str:
    return client.get(f"/runs/{run.pk}/").content.decode()


def buttons(html: str) -> list[str]:
    """The buttons on the page."""
    return [name for name in ("cancel", "retry", "delete") if f'/{name}/">' in html]


def test_a_button_cancels_a_run_and_another_tries_it_again(signed_in: Client, owner: User) -> None:
    run = workflows.noops.start(owner=owner)
    assert buttons(page(signed_in, run)) == ["cancel"]

    assertRedirects(signed_in.post(f"/runs/{run.pk}/cancel/"), f"/runs/{run.pk}/")
    assert states(run) == ["CANCELLED"] * 3
    html = page(signed_in, run)
    assert buttons(html) == ["retry", "delete"]
    assert ">cancelled</span>" in html

    assertRedirects(signed_in.post(f"/runs/{run.pk}/retry/"), f"/runs/{run.pk}/")
    assert states(run) == ["QUEUED", "WAITING", "WAITING"]
    assert buttons(page(signed_in, run)) == ["cancel"]


def test_a_run_that_waits_for_its_child_is_cancelling(signed_in: Client, owner: User) -> None:
    run = workflows.noops.start(owner=owner)
    claimed(run, "first")

    signed_in.post(f"/runs/{run.pk}/cancel/")

    html = page(signed_in, run)
    assert buttons(html) == []
    assert ">cancelling</span>" in html
    assert ">cancelling</span>" in signed_in.get("/").content.decode()


def test_a_run_that_is_done_can_only_be_deleted(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    assert buttons(page(signed_in, make_run(owner, state="SUCCESS"))) == ["delete"]


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_a_button_pressed_too_late_says_so(
    signed_in: Client, owner: User, make_run: MakeRun, action: str
) -> None:
    run = make_run(owner, state="SUCCESS")

    response = signed_in.post(f"/runs/{run.pk}/{action}/", follow=True)

    assert response.status_code == 200
    assert 'role="alert">' in response.content.decode()
    assert "it is SUCCESS." in response.content.decode()


def test_a_run_is_deleted_when_it_has_ended(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    active, over = make_run(owner), make_run(owner, state="FAILURE", error="no")

    refused = signed_in.post(f"/runs/{active.pk}/delete/", follow=True)
    assert "The run is PROGRESS: wait for its end." in refused.content.decode()
    assertRedirects(signed_in.post(f"/runs/{over.pk}/delete/"), "/runs/")

    assert list(Run.objects.all()) == [active]


@pytest.mark.parametrize("action", ["cancel", "retry", "delete"])
def test_buttons_are_for_those_who_see_the_run(
    client: Client, owner: User, other: User, action: str
) -> None:
    run = workflows.noops.start(owner=owner)
    address = f"/runs/{run.pk}/{action}/"

    assertRedirects(client.post(address), f"/login/?next={address}")
    client.force_login(other)
    assert client.post(address).status_code == 404
    client.force_login(owner)
    if action != "retry":  # it shows a form
        assert client.get(address).status_code == 405
    assert Client(enforce_csrf_checks=True).post(address).status_code == 403
    assert not Event.objects.exists()


def test_the_page_tells_what_was_tried_and_who_did_what(signed_in: Client, owner: User) -> None:
    run = workflows.sums.start(owner=owner, a=5)
    finish(run, "one", 6)
    fail(run, "two", "<b>no</b>")
    assert ">History<" not in page(signed_in, run)

    retry(run.pk, inputs={"a": 1, "b": 2}, who="bob")
    cancel(run.pk, who="<i>eve</i>")

    html = page(signed_in, run)
    told = ("two, attempt 1", "&lt;b&gt;no&lt;/b&gt;", "retry by bob", "cancel by &lt;i&gt;eve")
    assert [html.find(text) for text in told] == sorted(html.find(text) for text in told)
    assert min(html.find(text) for text in told) > 0
    assert "from two, inputs {&quot;a&quot;: 1, &quot;b&quot;: 2}" in html


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ({}, ""),
        ({"from": ["a", "b"]}, "from a, b"),
        ({"from": ["a"], "skip": True, "result": None}, "skipping a, result null"),
        ({"from": ["a"], "inputs": {"x": "é" * 300}}, 'from a, inputs {"x": "' + "é" * 192 + "…"),
    ],
)
def test_an_event_reads_as_a_line(detail: Any, told: str) -> None:
    event = Event(at=NOW, who="ann", what="retry", detail=detail)

    assert entries([event], [], "") == [Entry(at=NOW, who="ann", what="retry", detail=told)]


def test_the_history_is_in_order_of_time() -> None:
    step = Step(name="add")
    later = Attempt(step=step, number=2, error="", finished_at=NOW + timedelta(seconds=2))
    first = Attempt(step=step, number=1, error="it is broken", finished_at=NOW)
    event = Event(at=NOW + timedelta(seconds=1), what="retry", who="ann", detail={})

    assert [(entry.what, entry.detail) for entry in entries([event], [later, first], "")] == [
        ("add, attempt 1", "it is broken"),
        ("retry", ""),
        ("add, attempt 2", "ended"),
    ]
