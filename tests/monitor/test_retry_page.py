"""Retrying on the page: from a step, past it, and with other inputs, by the rules of the API."""

import json
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework import serializers

from parent import Approval, Step, Workflow
from parent.definition.parameters.secrets import HIDDEN
from parent.models import Event, Run
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from tests.flows import tasks, workflows
from tests.monitor.runs import claimed, fail, finish, states, step

TITLE = "Retry from a step, past it, or with other inputs"


@pytest.fixture
def failed(owner: User) -> Run:
    """A run of `sums`: its first step returned 6, its second failed."""
    run = workflows.sums.start(owner=owner, a=5)
    finish(run, "one", 6)
    fail(run, "two")
    return run


@pytest.fixture
def page(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


def address(run: Run) -> str:
    return f"/runs/{run.pk}/retry/"


def shown_inputs(html: str) -> str:
    found = re.search(r'<textarea name="inputs"[^>]*>(.*?)</textarea>', html, re.DOTALL)
    assert found is not None
    return unescape(found[1]).strip()


def chosen_step(html: str) -> list[str]:
    return re.findall(r'<option value="(\w+)" selected>', html)


def test_the_page_of_an_ended_run_has_the_form_for_the_step_that_failed(
    page: Client, failed: Run
) -> None:
    html = page.get(f"/runs/{failed.pk}/").content.decode()

    assert TITLE in html
    assert chosen_step(html) == ["two"]
    assert json.loads(shown_inputs(html)) == {"a": 6, "b": 1}
    assert "two (failed)" in html


@pytest.mark.parametrize("state", ["PROGRESS", "SUCCESS"])
def test_a_run_that_runs_or_is_done_has_none(page: Client, failed: Run, state: str) -> None:
    ended = failed.created_at if state in Run.ENDED else None
    Run.objects.filter(pk=failed.pk).update(state=state, finished_at=ended)

    assert TITLE not in page.get(f"/runs/{failed.pk}/").content.decode()
    assert page.get(address(failed)).headers["location"] == f"/runs/{failed.pk}/"


@pytest.mark.parametrize(
    ("form", "told", "after"),
    [
        ({"step": "one", "how": "again"}, {"from": ["one"]}, ["QUEUED", "WAITING", "WAITING"]),
        (
            {"step": "two", "how": "skip", "result": '{"n": [1]}'},
            {"from": ["two"], "skip": True, "result": {"n": [1]}},
            ["OK", "OK", "QUEUED"],
        ),
        (
            {"step": "two", "how": "skip", "result": " "},
            {"from": ["two"], "skip": True, "result": None},
            ["OK", "OK", "QUEUED"],
        ),
        (
            {"step": "two", "how": "inputs", "inputs": '{"a": 100, "b": 1}', "result": "{"},
            {"from": ["two"], "inputs": {"a": 100, "b": 1}},
            ["OK", "QUEUED", "WAITING"],
        ),
    ],
)
def test_each_way_does_what_the_api_does(
    page: Client, failed: Run, form: dict[str, str], told: dict[str, Any], after: list[str]
) -> None:
    answer = page.post(address(failed), form)

    assert (answer.status_code, answer.headers["location"]) == (302, f"/runs/{failed.pk}/")
    event = Event.objects.get(run=failed)
    assert (event.who, event.what, event.detail) == ("ann", "retry", told)
    assert states(failed) == after


@pytest.mark.parametrize(
    ("form", "field", "told"),
    [
        ({"step": "four", "how": "again"}, "step", "four is not one of the available choices"),
        ({"step": "two", "how": "perhaps"}, "how", "perhaps is not one of the available choices"),
        ({"step": "two", "how": "skip", "result": "{"}, "result", "This is not JSON: "),
        ({"step": "two", "how": "skip", "result": '"\\u0000"'}, "result", "has a NUL"),
        ({"step": "two", "how": "skip", "result": "[" * 99_999}, "result", "nested too deep"),
        ({"step": "two", "how": "skip", "result": "NaN"}, "result", "This is not JSON: NaN"),
        ({"step": "two", "how": "skip", "result": '{"a":1,"a":2}'}, "result", "is there twice"),
        ({"step": "two", "how": "inputs", "inputs": ""}, "inputs", "This is not JSON: "),
        ({"step": "two", "how": "inputs", "inputs": "[1]"}, "inputs", "Send an object"),
        ({"step": "two", "how": "inputs", "inputs": "null"}, "inputs", "may not be null"),
        (
            {"step": "two", "how": "inputs", "inputs": f'{{"a": "{HIDDEN}"}}'},
            "inputs",
            f"Write the secret where it says {HIDDEN}.",
        ),
    ],
)
def test_what_does_not_fit_is_said_beside_the_field_and_nothing_is_lost(
    page: Client, failed: Run, form: dict[str, str], field: str, told: str
) -> None:
    answer = page.post(address(failed), form)
    html = unescape(answer.content.decode())

    assert answer.status_code == 400
    assert re.search(rf'<a href="#retry-{field}">[^<]*</a>: [^<]*{re.escape(told)}', html)
    assert html.count(told) == 2  # in the summary, and beside the field
    assert form.get(field, "") in html
    assert not Event.objects.exists()
    assert states(failed) == ["OK", "ERROR", "SKIPPED"]


def test_the_engine_refuses_beside_the_field_too(page: Client, owner: User) -> None:
    run = start(workflows.mapped_over_broken, {"gate": "x"}, owner=owner)
    Run.objects.filter(pk=run.pk).update(state="REVOKED", finished_at=run.created_at)

    answer = page.post(address(run), {"step": "each", "how": "inputs", "inputs": "{}"})

    assert answer.status_code == 400
    assert "each takes its items from `over`" in answer.content.decode()


def test_two_at_the_same_time_and_the_second_is_told(page: Client, failed: Run) -> None:
    retry(failed.pk)

    answer = page.post(address(failed), {"step": "two", "how": "again"})

    assert answer.status_code == 400
    assert "Only a failed or cancelled run can be retried" in answer.content.decode()


def test_without_javascript_a_button_shows_the_inputs_of_the_chosen_step(
    page: Client, failed: Run
) -> None:
    form = {"step": "one", "how": "inputs", "inputs": '{"a": 9}', "show": "inputs"}

    answer = page.post(address(failed), form)

    html = answer.content.decode()
    assert answer.status_code == 200
    assert chosen_step(html) == ["one"]
    assert json.loads(shown_inputs(html)) == {"a": 5, "b": 1}
    assert re.search(r'value="inputs"[^>]* checked', html)
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("name", "note"),
    [("one", ""), ("three", "It had none yet."), ("no such step", "")],
)
def test_the_form_for_another_step(page: Client, failed: Run, name: str, note: str) -> None:
    html = page.get(address(failed), {"step": name}).content.decode()

    assert f'<p class="help" data-note>{note}</p>' in html


def test_inputs_that_a_retry_gave_are_shown_again(page: Client, failed: Run) -> None:
    retry(failed.pk, step="two", inputs={"a": 7, "b": 7})
    fail(failed, "two")

    html = page.get(address(failed)).content.decode()

    assert json.loads(shown_inputs(html)) == {"a": 7, "b": 7}


class SecretParams(serializers.Serializer[Any]):
    a = serializers.CharField(style={"input_type": "password"})


@pytest.mark.usefixtures("own_registry")
def test_secrets_are_not_shown(page: Client, owner: User) -> None:
    add = Step(tasks.add, inputs=lambda run: {"a": run.params["a"], "b": "seen"})
    run = start(Workflow("hush", params=SecretParams, steps=[add]), {"a": "s3cret"}, owner=owner)
    claimed(run, "add")
    fail_it = step(run, "add")
    Run.objects.filter(pk=run.pk).update(state="FAILURE", finished_at=run.created_at)
    assert fail_it.kwargs == {"a": "s3cret", "b": "seen"}

    html = page.get(address(run)).content.decode()

    assert json.loads(shown_inputs(html)) == {"a": HIDDEN, "b": "seen"}
    assert "Secrets are left out" in html
    assert "s3cret" not in html


@pytest.mark.usefixtures("own_registry")
def test_what_has_no_inputs_says_so(page: Client, owner: User) -> None:
    run = start(Workflow("asking", steps=[Approval("release")]), {}, owner=owner)
    Run.objects.filter(pk=run.pk).update(state="REVOKED", finished_at=run.created_at)

    assert "has no inputs" in page.get(address(run)).content.decode()


@pytest.mark.parametrize("way", ["get", "post"])
def test_a_run_of_somebody_else_is_not_there(
    client: Client, other: User, failed: Run, way: str
) -> None:
    client.force_login(other)

    answer = getattr(client, way)(address(failed), {"step": "two", "how": "again"})

    assert answer.status_code == 404
    assert not Event.objects.exists()


def test_a_button_of_before_does_as_before(page: Client, failed: Run) -> None:
    assert page.post(address(failed)).status_code == 302

    assert Event.objects.get(run=failed).detail == {"from": ["two"]}


@pytest.mark.usefixtures("counted")
def test_retries_on_the_page_are_counted(page: Client, failed: Run, settings: Any) -> None:
    settings.WORKFLOW_START_RATE = "1/min"
    form = {"step": "two", "how": "again"}
    assert page.post(address(failed), form).status_code == 302
    fail(failed, "two")

    assert page.post(address(failed), form).status_code == 429
