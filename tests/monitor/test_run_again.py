"""A form that is filled in with the inputs of an earlier run."""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework import serializers

from examples.main_flow.tasks import func_1
from parent.definition.workflow import Step, Workflow, registry
from parent.models import Run
from tests.monitor.sent_form import Form

MakeRun = Callable[..., Run]


class Account(serializers.Serializer[None]):
    user = serializers.CharField(required=False)
    key = serializers.CharField(required=False, style={"input_type": "password"})
    safe = serializers.BooleanField(default=True)


class Row(serializers.Serializer[None]):
    name = serializers.CharField()
    wanted = serializers.BooleanField(default=True)
    tags = serializers.ListField(child=serializers.CharField(), required=False)


class AgainParams(serializers.Serializer[None]):
    title = serializers.CharField(required=False)
    note = serializers.CharField(required=False, style={"base_template": "textarea.html"})
    limit = serializers.IntegerField(default=7)
    careful = serializers.BooleanField(default=True)
    colour = serializers.ChoiceField(choices=[("r", "Red"), ("g", "Green")], required=False)
    at = serializers.DateTimeField(required=False)
    day = serializers.DateField(required=False)
    took = serializers.DurationField(required=False)
    names = serializers.ListField(child=serializers.CharField(), required=False)
    numbers = serializers.ListField(child=serializers.IntegerField(), required=False)
    extra = serializers.JSONField(required=False)
    labels = serializers.DictField(required=False)
    row = Row(required=False)
    rows = Row(many=True, required=False)
    account = Account(required=False)
    renamed = serializers.CharField(source="inner", required=False)
    secret = serializers.CharField(write_only=True, required=False)
    file = serializers.FileField(required=False, label="The table")
    files = serializers.ListField(child=serializers.FileField(), required=False)


@cache
def again_flow() -> Workflow:
    steps = [Step(func_1, inputs=lambda _: {"limit": 1})]
    return Workflow("again", params=AgainParams, steps=steps, permission="auth.view_group")


@pytest.fixture(autouse=True)
def again(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workflow]:
    """A workflow with fields of every kind, registered for one test."""
    known = {workflow.name: workflow for workflow in registry.workflows()}
    monkeypatch.setattr(registry, "_workflows", {**known, "again": again_flow()})
    yield again_flow()
    monkeypatch.undo()
    registry._workflows.pop("again", None)


@pytest.fixture
def signed_in(client: Client, owner: User) -> Client:
    owner.user_permissions.add(Permission.objects.get(codename="view_group"))
    client.force_login(owner)
    return client


def text(response: Any) -> str:
    return str(response.content.decode())


def left_out(page: str) -> list[str]:
    found = re.search(r'<div class="like">.*?</div>', page, re.DOTALL)
    assert found is not None
    items = re.findall(r"<li>(.*?)</li>", found[0])
    return [re.sub(r"<.*?>", "", item) for item in items]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"title": "<b>", "note": "two\nlines", "limit": 3, "careful": False, "colour": "g"},
        {"at": "2025-03-01T12:00:00Z", "day": "2025-03-01", "took": "P1DT02H03M04S"},
        {"at": "2025-03-01T12:00:00.250000Z", "careful": True},
        {"names": ["a", "b c"], "numbers": [1, 2], "inner": "x"},
        {"extra": {"a": [1, None, False]}, "labels": {"a": "1", "b": "2"}},
        {"extra": False},
        {"extra": [], "labels": {}, "rows": []},
        {"row": {"name": "a", "wanted": False, "tags": ["1", "2"]}},
        {"rows": [{"name": "a", "wanted": True}, {"name": "<b>", "wanted": False, "tags": ["x"]}]},
        {"account": {"user": "ann", "safe": False}},
    ],
    ids=lambda params: " ".join(params) or "none",
)
def test_the_form_starts_a_run_with_the_same_inputs(
    signed_in: Client, owner: User, make_run: MakeRun, params: dict[str, Any]
) -> None:
    params = {"limit": 7, "careful": True, "account": {"safe": True}} | params
    run = make_run(owner, workflow="again", params=params)

    page = text(signed_in.get(f"/start/again/?again={run.pk}"))
    sent = signed_in.post(f"/start/again/?again={run.pk}", Form(page).sent)

    assert left_out(page) == []
    assert f'<a href="/runs/{run.pk}/">run {str(run.pk)[:8]}</a>' in page
    assert sent.status_code == 302, text(sent)
    assert Run.objects.exclude(pk=run.pk).get().params == params


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"secret": "hush"}, "Secret: a secret: enter it again"),
        ({"account": {"user": "ann", "key": "hush"}}, "Key: a secret: enter it again"),
        ({"file": "runs/hush.csv"}, "The table: choose the file again"),
        ({"files": ["runs/hush.csv"]}, "Files: choose the file again"),
        ({"title": "hush\nhush"}, "Title: it cannot be entered in this form"),
        ({"names": ["hush", "hush\nhush"]}, "Names: it cannot be entered in this form"),
        ({"names": ["hush", " "]}, "Names: it cannot be entered in this form"),
        ({"at": "hush"}, "At: it cannot be entered in this form"),
        ({"at": "2025-03-01T12:00:00.123456Z"}, "At: it cannot be entered in this form"),
        ({"gone": "hush"}, "gone: the workflow no longer takes it"),
        ({"account": {"gone": "hush"}}, "account.gone: the workflow no longer takes it"),
    ],
    ids=str,
)
def test_what_is_not_filled_in_is_named(
    signed_in: Client, owner: User, make_run: MakeRun, params: dict[str, Any], said: str
) -> None:
    run = make_run(owner, workflow="again", params={"limit": 3, **params})

    page = text(signed_in.get(f"/start/again/?again={run.pk}"))

    assert left_out(page) == [said]
    assert "hush" not in page
    assert Form(page).sent["limit"] == ["3"]


def test_the_page_of_a_run_leads_to_the_form(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    for state in ("PROGRESS", "SUCCESS", "FAILURE", "REVOKED"):
        run = make_run(owner, workflow="again", state=state)
        link = f'href="/start/again/?again={run.pk}">Run again</a>'
        assert link in text(signed_in.get(f"/runs/{run.pk}/")), state

    owner.user_permissions.clear()
    assert "Run again" not in text(signed_in.get(f"/runs/{run.pk}/"))
    assert signed_in.get(f"/start/again/?again={run.pk}").status_code == 403


def test_a_run_that_one_may_not_see_fills_in_nothing(
    signed_in: Client, owner: User, other: User, make_run: MakeRun
) -> None:
    theirs = make_run(other, workflow="again", params={"title": "hush"})
    of_another_workflow = make_run(owner)

    for run in (theirs.pk, of_another_workflow.pk, uuid4(), "nonsense", ""):
        answer = signed_in.get(f"/start/again/?again={run}")
        assert answer.status_code == 404
        assert "hush" not in text(answer)


def test_what_is_wrong_afterwards_is_said_as_ever(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner, workflow="again", params={"limit": 3})
    entered = {"limit": "many", "file": SimpleUploadedFile("in.csv", b"a")}

    answer = signed_in.post(f"/start/again/?again={run.pk}", entered)

    assert answer.status_code == 400
    assert "A valid integer is required." in text(answer)


def test_an_object_that_is_shown_as_json_may_have_any_field(signed_in: Client) -> None:
    """Its field `name` is not the name of the control, and its values keep their types."""
    row = {"name": "", "wanted": False, "tags": ["1"]}

    answer = signed_in.post("/start/again/", {"row": json.dumps(row)})

    page = text(answer)
    assert answer.status_code == 400
    assert json.loads(Form(page).sent["row"][0]) == row
    assert '<li><a href="#field-row">Row</a>: name: This field may not be blank.</li>' in page
    assert 'id="error-row-1">name: This field may not be blank.</p>' in page
    assert "BoundField" not in page


def test_without_a_script_no_button_copies(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    page = text(signed_in.get(f"/runs/{make_run(owner).pk}/"))

    buttons = re.findall(r"<button [^>]*data-copy=[^>]*>", page)
    assert len(buttons) == 2
    assert all(button.endswith(" hidden>") for button in buttons)
