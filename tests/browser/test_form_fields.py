"""The form of a workflow: secrets, values inside values, blanks, and times."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser
from rest_framework import serializers

from examples.main_flow.tasks import func_1
from parent.definition.parameters.secrets import HIDDEN
from parent.definition.workflow import Step as StepDefinition
from parent.definition.workflow import Workflow, registry
from parent.models import Event, Run
from tests.browser.conftest import SignIn, Watched

SECRET = 'hunter2 "ü"'
NOON = datetime(2025, 7, 1, 12, 0, tzinfo=UTC)


class Account(serializers.Serializer[None]):
    user = serializers.CharField(required=False)
    password = serializers.CharField(required=False, style={"input_type": "password"})


class Params(serializers.Serializer[None]):
    """Fields of which each is optional."""

    count = serializers.IntegerField(required=False)
    password = serializers.CharField(required=False, style={"input_type": "password"})
    token = serializers.CharField(required=False, write_only=True)
    account = Account(required=False)
    accounts = Account(many=True, required=False)
    matrix = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()), required=False
    )
    labels = serializers.DictField(child=serializers.IntegerField(), required=False)
    anything = serializers.JSONField(required=False)
    things = serializers.ListField(child=serializers.JSONField(), required=False)
    at = serializers.DateTimeField(required=False)
    since = serializers.DateTimeField(required=False, default=NOON)


@pytest.fixture(autouse=True)
def fields_flow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A workflow with these parameters, registered for one test."""
    Workflow("fields", params=Params, steps=[StepDefinition(func_1, inputs=lambda _: {"limit": 1})])
    yield
    registry._workflows.pop("fields", None)


@pytest.fixture
def signed_in(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


def text(response: Any) -> str:
    return unescape(response.content.decode())


def params(run: Run) -> dict[str, Any]:
    """What a run got, without the default of `since`."""
    return {name: value for name, value in run.params.items() if name != "since"}


@pytest.mark.parametrize(
    ("entered", "expected"),
    [
        ({"accounts": '[{"user": "ann"}, {}]'}, {"accounts": [{"user": "ann"}, {}]}),
        ({"matrix": "[[1, 2], []]"}, {"matrix": [[1, 2], []]}),
        ({"labels": '{"a": 1}'}, {"labels": {"a": 1}}),
        ({"things": '[{"a": [1]}, "text"]'}, {"things": [{"a": [1]}, "text"]}),
        ({"anything": '{"a": null}'}, {"anything": {"a": None}}),
        ({"account.user": "ann"}, {"account": {"user": "ann"}}),
        # What is left blank is left out.
        ({"accounts": "", "matrix": "", "labels": "", "things": "", "anything": ""}, {}),
    ],
)
def test_values_inside_values_can_be_filled_in(
    signed_in: Client, entered: dict[str, str], expected: dict[str, Any]
) -> None:
    response = signed_in.post("/start/fields/", entered)

    assert response.status_code == 302, text(response)
    found = {name: value for name, value in params(Run.objects.get()).items() if value != {}}
    assert found == expected


def test_a_form_that_nobody_filled_in_sends_nothing(signed_in: Client) -> None:
    page = text(signed_in.get("/start/fields/"))

    for name in ("accounts", "matrix", "labels", "anything", "things"):
        control = page.split(
            f'<textarea class="code" spellcheck="false" rows="6" id="field-{name}"'
        )
        blank = control[-1].split(">", 1)[1].split("</textarea>")[0]
        assert blank == ""
    assert "null" not in page
    assert '[{"user": "text", "password": "text"}]' in page
    assert "[[1]]" in page
    assert page.count("As JSON, for example") == 5


@pytest.mark.parametrize(
    ("entered", "error"),
    [
        ({"accounts": "[{"}, "accounts"),
        ({"matrix": '[["x"]]'}, "matrix"),
        ({"labels": "[1]"}, "labels"),
        ({"labels": '{"a": "x"}'}, "labels"),
        ({"things": "1"}, "things"),
    ],
)
def test_what_is_wrong_inside_is_said_beside_it_and_kept(
    signed_in: Client, entered: dict[str, str], error: str
) -> None:
    response = signed_in.post("/start/fields/", entered)

    page = text(response)
    assert response.status_code == 400
    assert f'id="error-{error}-1"' in page
    if error != "accounts":  # there may be a password in it
        shown = page.split(f'id="field-{error}"')[1].split(">", 1)[1].split("</textarea>")[0]
        assert "".join(shown.split()) == "".join(entered[error].split())
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "entered",
    [
        {"password": SECRET},
        {"token": SECRET},
        {"account.password": SECRET, "account.user": "ann"},
        {"accounts": json.dumps([{"user": "ann", "password": SECRET}])},
    ],
    ids=lambda entered: next(iter(entered)),
)
def test_a_secret_is_not_shown_again(
    signed_in: Client, staff: User, entered: dict[str, str]
) -> None:
    """Not in the form with an error, on the run's page, in its history, or in the admin."""
    hidden = ("hunter2", b"hunter2".hex())
    refused = signed_in.post("/start/fields/", {**entered, "count": "many"})
    assert refused.status_code == 400
    assert hidden[0] not in text(refused)
    if "account.user" in entered:
        assert 'value="ann"' in text(refused)  # what is not a secret stays

    signed_in.post("/start/fields/", entered)
    run = Run.objects.get()
    assert SECRET in json.dumps(run.params, ensure_ascii=False).replace("\\", "")  # the child's
    Event.objects.create(run=run, what="retry", detail={"inputs": {"login": SECRET}})
    run.steps.update(kwargs={"login": SECRET})
    page = text(signed_in.get(f"/runs/{run.pk}/"))
    assert hidden[0] not in page
    assert HIDDEN in page.split("Inputs")[1].split("History")[0]
    assert HIDDEN in page.split("History")[1]

    staff.is_superuser = True
    staff.save()
    signed_in.force_login(staff)
    for path in (f"run/{run.pk}", f"step/{run.steps.get().pk}"):
        page = text(signed_in.get(f"/admin/parent/{path}/change/"))
        assert hidden[0] not in page
        assert HIDDEN in page


def test_without_javascript_a_time_is_utc_and_the_form_says_so(signed_in: Client) -> None:
    page = text(signed_in.get("/start/fields/"))
    signed_in.post("/start/fields/", {"at": "2025-07-01T12:00"})

    assert "Time zone: <span data-time-zone>UTC</span>" in page
    assert Run.objects.get().params["at"] == "2025-07-01T12:00:00Z"


@pytest.mark.parametrize(
    ("zone", "entered", "meant"),
    [
        ("America/New_York", "2025-07-01T12:00", "2025-07-01T16:00:00Z"),
        ("America/New_York", "2025-01-01T12:00", "2025-01-01T17:00:00Z"),
        ("Australia/Adelaide", "2025-07-01T00:15", "2025-06-30T14:45:00Z"),
    ],
)
def test_a_time_is_the_readers_own(
    chromium: Browser, live_server: Any, sign_in: SignIn, zone: str, entered: str, meant: str
) -> None:
    with Watched(chromium, live_server.url, timezone_id=zone) as window:
        sign_in(window)
        tab = window.new_page()
        tab.goto("/start/fields/")
        assert tab.get_by_text(f"Time zone: {zone} (yours)").count() == 2
        since = tab.get_by_label("Since").input_value()
        tab.get_by_label(re.compile("^At ")).fill(entered)
        tab.get_by_label(re.compile("^Count ")).evaluate(
            "(it) => { it.type = 'text'; it.value = 'x'; }"
        )
        tab.get_by_role("button", name="Start").click()
        tab.locator("#errors").wait_for()
        # It is shown again as it was entered.
        assert tab.get_by_label(re.compile("^At ")).input_value() == entered
        assert tab.get_by_label("Since").input_value() == since
        tab.get_by_label(re.compile("^Count ")).fill("1")
        tab.get_by_role("button", name="Start").click()
        tab.wait_for_url("**/runs/*/")

    run = Run.objects.get()
    assert run.params["at"] == meant
    assert run.params["since"] == "2025-07-01T12:00:00Z"
