"""The pages without JavaScript, tested without a browser."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django.asserts import assertRedirects
from rest_framework import serializers
from sesame.utils import get_query_string

from monitor.pages.forms.form import filled_form
from monitor.templatetags.monitor_format import duration, percent, word
from parent.definition.workflow import Workflow
from parent.models import Run

MakeRun = Callable[..., Run]
TOO_DEEP = 'id="error-extra-1">It is (nested too deep|not JSON that can be stored)'
CONTROL = r'<\w+ [^>]*name="(?P<name>[^"]+)"[^>]*>'


@pytest.fixture
def signed_in(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


def text(response: Any) -> str:
    return str(response.content.decode())


@pytest.mark.parametrize("path", ["/", "/start/main_flow/"])
def test_a_page_sends_a_stranger_to_the_login(client: Client, path: str) -> None:
    assertRedirects(client.get(path), f"/login/?next={path}")


def test_a_login_link_works_once(client: Client, owner: User) -> None:
    link = f"/login/link/{get_query_string(owner)}"

    assertRedirects(client.get(link), "/")
    client.logout()
    again = client.get(link)

    assert again.status_code == 403
    assert "This link no longer works" in text(again)
    assert 'href="/login/"' in text(again)


def test_a_password_signs_in_and_a_button_signs_out(client: Client, owner: User) -> None:
    login = client.post("/login/", {"username": "ann", "password": "a long pass phrase"})
    assertRedirects(login, "/")
    assertRedirects(client.post("/logout/"), "/login/")


def test_the_start_page_lists_workflows_and_the_callers_latest_runs(
    signed_in: Client, owner: User, other: User, make_run: MakeRun
) -> None:
    mine, theirs = make_run(owner), make_run(other)

    page = text(signed_in.get("/"))

    assert 'href="/start/main_flow/"' in page
    assert f"/runs/{mine.pk}/" in page
    assert f"/runs/{theirs.pk}/" not in page


def test_the_form_shows_what_the_serializer_says(signed_in: Client, form_flow: Workflow) -> None:
    page = text(signed_in.get("/start/every_kind/"))

    assert 'enctype="multipart/form-data"' in page
    assert "The title" in page
    assert "Shown on &lt;top&gt;." in page
    inputs = {match["name"]: match[0] for match in re.finditer(CONTROL, page)}
    assert 'type="text"' in inputs["title"]
    assert " required" in inputs["title"]
    assert 'maxlength="40"' in inputs["title"]
    assert 'value="7"' in inputs["limit"]
    assert 'min="1" max="10"' in inputs["limit"]
    assert 'type="date"' in inputs["day"]
    assert 'type="file"' in inputs["file"]
    assert "checked" in inputs["careful"]
    assert '<option value="g">Green</option>' in page
    assert inputs["sizes"].startswith("<select multiple")
    assert inputs["extra"].startswith("<textarea")
    assert 'type="number"' in inputs["size.width"]
    assert inputs["labels"].startswith("<textarea")


def test_the_form_starts_a_run_with_what_people_entered(
    signed_in: Client, owner: User, form_flow: Workflow
) -> None:
    entered = {
        "title": "T",
        "limit": "",
        "ratio": "",
        "day": "2025-03-01",
        "careful": "false",
        "colour": "",
        "names": "a\r\n\r\nb\r\n",
        "extra": "",
        "size.width": "4",
        "file": SimpleUploadedFile("in.csv", b"a,b"),
    }

    response = signed_in.post("/start/every_kind/", entered)

    run = Run.objects.get()
    assertRedirects(response, f"/runs/{run.pk}/")
    assert run.owner == owner
    assert run.params.pop("file").endswith("in.csv")
    assert run.params == {
        "title": "T",
        "limit": 7,
        "day": "2025-03-01",
        "careful": False,
        "names": ["a", "b"],
        "size": {"width": 4},
    }


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_lost(
    signed_in: Client, form_flow: Workflow
) -> None:
    response = signed_in.post(
        "/start/every_kind/", {"title": "kept", "limit": "many", "careful": "true", "other": "1"}
    )

    page = text(response)
    assert response.status_code == 400
    assert '<p class="error" id="error-limit-1">A valid integer is required.</p>' in page
    assert "other: This workflow has no such parameter." in page
    assert 'value="kept"' in page
    assert 'value="many"' in page
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("entered", "told"),
    [
        # Too deep for the parser, or for the database: how deep that is differs between Pythons.
        ({"extra": "[" * 100_000 + "]" * 100_000}, TOO_DEEP),
        ({"extra": "[" * 5_000 + "]" * 5_000}, TOO_DEEP),
        ({"extra": "[" * 300 + "]" * 300}, 'id="error-extra-1">It is not JSON that can be stored'),
        ({"names": "a\x00b"}, 'id="error-names'),
        ({"names": "a\n" + "b" * 41}, '">Entry 2: Ensure this field has no more than'),
        ({"size": "4"}, "<li>size: Invalid data. Expected a dictionary"),
        ({"size.width": "x"}, 'id="error-size.width-1">A valid integer is required.'),
        ({"size.depth": "1"}, "size.depth: This workflow has no such parameter."),
        ({"names[" + "9" * 5_000 + "]": "x"}, "9…: This workflow has no such parameter."),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_no_serializer_should_see_is_said_like_all_else(
    signed_in: Client, form_flow: Workflow, entered: dict[str, str], told: str
) -> None:
    signed_in.raise_request_exception = False

    body = urlencode({"title": "kept"} | entered)
    kind = "application/x-www-form-urlencoded"
    response = signed_in.post("/start/every_kind/", body, content_type=kind)

    assert response.status_code == 400
    assert re.search(told, text(response))
    assert 'value="kept"' in text(response)


def test_an_entry_of_a_dict_keeps_its_name() -> None:
    class Labelled(serializers.Serializer[None]):
        labels = serializers.DictField(child=serializers.IntegerField())

    workflow: Any = SimpleNamespace(params=Labelled)
    for key in ("7", "9" * 5_000):
        params = {"labels": {key: "x"}}
        checked = Labelled(data=params)
        assert not checked.is_valid()

        form, others = filled_form(workflow, params, checked.errors)

        # A long one is cut, as every text that is not ours.
        assert re.search(f">{key[:500]}.*: A valid integer is required.<", form)
        assert [(error.field, error.label) for error in others] == [("labels", "Labels")]


def test_what_belongs_to_no_field_is_said_above_them(
    signed_in: Client, form_flow: Workflow, media: Path
) -> None:
    response = signed_in.post(
        "/start/every_kind/",
        {"title": "kept", "other": "1", "file": SimpleUploadedFile("in.csv", b"a")},
    )

    assert response.status_code == 400
    assert "other: This workflow has no such parameter." in text(response)
    assert 'value="kept"' in text(response)
    assert not media.exists()


def test_a_workflow_without_parameters_starts_with_one_click(
    signed_in: Client,
) -> None:
    assert ">Start</button>" in text(signed_in.get("/start/noops/"))

    assertRedirects(signed_in.post("/start/noops/"), f"/runs/{Run.objects.get().pk}/")


def test_an_unknown_workflow_has_no_page(signed_in: Client) -> None:
    assert signed_in.get("/start/nope/").status_code == 404


def test_a_run_can_be_read_without_javascript(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner)

    page = text(signed_in.get(f"/runs/{run.pk}/"))

    assert '<progress max="100" value="20" aria-label="Progress of main_flow"' in page
    assert '<progress max="100" value="40" aria-label="Progress of func_1"' in page
    assert "func_1: 4 of 10" in page
    assert re.search(r"1\d s · about \d+ s left", page)
    assert '<a href="">Refresh</a>' in page
    assert "style=" not in page
    assert not re.search(
        r'<script(?! id="task-texts" type="application/json">)(?![^>]* src=)', page
    )


def test_a_child_leads_to_its_runs_page(signed_in: Client, owner: User, make_run: MakeRun) -> None:
    run = make_run(owner)
    child_id = run.steps.get(name="func_1").task_id

    assertRedirects(signed_in.get(f"/runs/{child_id}/"), f"/runs/{run.pk}/")


def test_another_users_run_has_no_page(signed_in: Client, other: User, make_run: MakeRun) -> None:
    run = make_run(other, state="SUCCESS", result={"secret": 1})

    assert signed_in.get(f"/runs/{run.pk}/").status_code == 404
    assert signed_in.get(f"/runs/{run.pk}/result.json").status_code == 404
    assert signed_in.post(f"/runs/{run.pk}/delete/").status_code == 404


def test_a_failed_run_says_why(signed_in: Client, owner: User, make_run: MakeRun) -> None:
    run = make_run(owner, state="FAILURE", error="Error in func_1: <b>no</b>")

    page = text(signed_in.get(f"/runs/{run.pk}/"))

    assert "Error in func_1: &lt;b&gt;no&lt;/b&gt;" in page
    assert "Refresh" not in page


def test_a_result_is_readable_and_downloadable_json(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner, state="SUCCESS", completion=100.0, result={"größe": ["<x>"]})

    page = text(signed_in.get(f"/runs/{run.pk}/"))
    download = signed_in.get(f"/runs/{run.pk}/result.json")

    assert "größe" in page
    assert "&lt;x&gt;" in page
    assert 'value="100"' in page
    assert f'href="/runs/{run.pk}/result.json"' in page
    assert download.json() == {"größe": ["<x>"]}
    assert download["Content-Disposition"] == f'attachment; filename="main_flow-{run.pk}.json"'


def test_a_workflows_own_template_shows_its_result(
    signed_in: Client, owner: User, make_run: MakeRun, settings: Any, tmp_path: Path
) -> None:
    template = tmp_path / "main_flow" / "result.html"
    template.parent.mkdir()
    template.write_text("<b>{{ result.total }} of {{ run.workflow }}</b>")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    run = make_run(owner, state="SUCCESS", completion=100.0, result={"total": 7})

    assert "<b>7 of main_flow</b>" in text(signed_in.get(f"/runs/{run.pk}/"))


def test_a_run_in_progress_has_no_result(signed_in: Client, owner: User, make_run: MakeRun) -> None:
    assert signed_in.get(f"/runs/{make_run(owner).pk}/result.json").status_code == 404


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, ""), (0.9, "0 s"), (59.9, "59 s"), (185, "3 min 5 s"), (7620, "2 h 7 min")],
)
def test_a_duration_reads_well(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("status", "completion", "shown"),
    [("PROGRESS", 99.97, 99), ("PROGRESS", 100.0, 99), ("ERROR", 100.0, 99), ("OK", 100.0, 100)],
)
def test_a_bar_is_full_only_at_the_end(status: str, completion: float, shown: int) -> None:
    assert percent({"status": status, "completion": completion}) == shown


@pytest.mark.parametrize(
    ("state", "status", "task_id", "message", "shown"),
    [
        ("PENDING", "PENDING", None, "", "waiting"),
        ("PENDING", "PENDING", "x", "", "queued"),
        ("STARTED", "PROGRESS", "x", "", "running"),
        ("PROGRESS", "PROGRESS", "x", "func_1: 1 of 2", "running"),
        ("PROGRESS", "PROGRESS", "x", "cancelling", "cancelling"),
        ("SUCCESS", "OK", "x", "", "done"),
        ("FAILURE", "ERROR", "x", "", "failed"),
        ("REVOKED", "PENDING", None, "", "skipped"),
        ("REVOKED", "ERROR", "x", "cancelling", "cancelled"),
    ],
)
def test_a_status_is_one_plain_word(
    state: str, status: str, task_id: str | None, message: str, shown: str
) -> None:
    told = {"state": state, "status": status, "task_id": task_id, "message": message}
    assert word(told) == shown


def test_an_optional_failure_says_so() -> None:
    told = {"state": "FAILURE", "status": "ERROR", "task_id": "x", "message": "", "optional": True}
    assert word(told) == "failed, optional"
