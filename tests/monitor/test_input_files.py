"""The files among a run's inputs can be downloaded by who may see the run."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework import serializers

from examples.main_flow.tasks import func_1
from monitor.runs.input_files import inputs_of
from parent import Step, Workflow
from parent.definition.workflow import registry
from parent.models import Run

CONTENT = b"<script>alert(1)</script>"


class FilesParams(serializers.Serializer[None]):
    table = serializers.FileField()
    sheets = serializers.ListField(child=serializers.FileField(), required=False)
    key = serializers.FileField(required=False, write_only=True)
    text = serializers.CharField(required=False)
    since = serializers.DateTimeField(required=False)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, client: Client, owner: User) -> Run:
    """A run with a file, a list of two files, and a secret file; the client is its owner's."""
    monkeypatch.setattr(registry, "_workflows", dict(registry._workflows))
    steps = [Step(func_1, inputs=lambda _: {"limit": 1})]
    Workflow("with_files", params=FilesParams, steps=steps)
    client.force_login(owner)
    sent = {
        "table": SimpleUploadedFile("größe <1>.html", CONTENT, content_type="text/html"),
        "sheets": [SimpleUploadedFile(f"{n}.csv", str(n).encode()) for n in range(2)],
        "key": SimpleUploadedFile("key.pem", b"hush"),
        "text": "table.csv",
        "since": "2026-11-27T08:30:00+02:00",
    }
    assert client.post("/start/with_files/", sent).status_code == 302
    return Run.objects.get()


def links(client: Client, run: Run) -> dict[str, str]:
    """The downloads on the run's page: addresses by name."""
    page = client.get(f"/runs/{run.pk}/").content.decode()
    found = re.findall(r'<a href="([^"]*/files/[^"]*)" download>(.*?)</a>', page)
    return {name: address for address, name in found}


def test_each_file_is_a_link_and_a_secret_one_is_not(client: Client, run: Run) -> None:
    found = links(client, run)

    assert list(found) == ["größe_1.html", "0.csv", "1.csv"]
    for name, content in (("0.csv", b"0"), ("1.csv", b"1")):
        assert client.get(found[name]).getvalue() == content
    secret = run.files.index(next(name for name in run.files if name.endswith(".pem")))
    assert client.get(f"/runs/{run.pk}/files/{secret}/").status_code == 404


def test_a_time_is_shown_as_one_and_a_text_is_not(client: Client, run: Run) -> None:
    run.params["text"] = run.params["since"]
    run.save()

    page = client.get(f"/runs/{run.pk}/").content.decode()

    shown = re.search(r'<dt>since</dt><dd><time class="figures" datetime="([^"]+)"', page)
    assert shown is not None
    assert datetime.fromisoformat(shown[1]) == datetime(2026, 11, 27, 6, 30, tzinfo=UTC)
    assert f"<dt>text</dt><dd>{run.params['since']}\n</dd>" in page


@pytest.mark.parametrize("value", [None, "", "yesterday", 7, {"a": 1}, "0001-01-01T00:00:00+14:00"])
def test_what_says_no_time_is_shown_as_it_is(value: Any) -> None:
    (found,) = inputs_of({"since": value}, [], times={"since"})

    assert (found.at, found.value) == (None, value)


def test_a_browser_saves_it_and_never_shows_it(client: Client, run: Run) -> None:
    answer: Any = client.get(links(client, run)["größe_1.html"])

    assert answer.getvalue() == CONTENT
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == "attachment; filename*=utf-8''gr%C3%B6%C3%9Fe_1.html"
    assert "no-store" in answer["Cache-Control"]


def test_who_may_not_see_the_run_gets_no_file(
    client: Client, run: Run, other: User, staff: User
) -> None:
    address = links(client, run)["0.csv"]
    client.force_login(other)
    assert client.get(address).status_code == 404

    client.logout()
    answer = client.get(address)
    assert (answer.status_code, answer["Location"]) == (302, f"/login/?next={address}")

    client.force_login(staff)
    found: Any = client.get(address)
    assert found.getvalue() == b"0"


@pytest.mark.parametrize("number", ["4", "99", "9" * 5_000, "-1", "../0", "%2e%2e", "x", ""])
def test_only_a_number_of_a_file_of_the_run_is_an_address(
    client: Client, run: Run, number: str
) -> None:
    assert client.get(f"/runs/{run.pk}/files/{number}/").status_code == 404


def test_a_file_that_was_deleted_is_said_to_be(client: Client, run: Run) -> None:
    address = links(client, run)["0.csv"]
    default_storage.delete(next(name for name in run.files if name.endswith("/0.csv")))

    answer = client.get(address, headers={"Accept": "text/html"})

    assert answer.status_code == 404
    assert "it was deleted" in answer.content.decode()


class Late(FileSystemStorage):
    """A storage that hears of a deletion only after a while."""

    def exists(self, name: str) -> bool:  # noqa: ARG002 - Django's
        return True


def test_a_file_that_is_deleted_at_this_moment_is_said_to_be(
    client: Client, run: Run, settings: Any
) -> None:
    address = links(client, run)["0.csv"]
    default_storage.delete(next(name for name in run.files if name.endswith("/0.csv")))
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": f"{__name__}.Late"}}
    client.raise_request_exception = False

    assert client.get(address).status_code == 404


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        ("runs/1/a", [0]),
        (["runs/1/b", "runs/1/a"], [1, 0]),
        (["runs/1/a", "a text"], []),
        ([], []),
        ("runs/2/a", []),
        ("a text", []),
        ({"runs/1/a": "runs/1/a"}, []),
        ([["runs/1/a"]], []),
        (None, []),
        (7, []),
    ],
    ids=repr,
)
def test_a_value_is_files_if_all_of_it_is(value: Any, numbers: list[int]) -> None:
    (found,) = inputs_of({"x": value}, ["runs/1/a", "runs/1/b"])

    assert (found.name, found.value) == ("x", value)
    assert [file.number for file in found.files] == numbers
