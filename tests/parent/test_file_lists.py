"""Given a list of files as a parameter, each is stored, and the child gets their names."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from rest_framework import serializers

from parent import Step, Workflow
from parent.definition.workflow import registry
from parent.deletion.delete import delete_run
from parent.errors import InvalidParams, KeyReused
from parent.inline import run_inline
from parent.management.arguments import params_of
from parent.management.catalogue import describe_params
from parent.runs.start import start
from tests.flows import tasks

pytestmark = pytest.mark.django_db


class ListParams(serializers.Serializer[None]):
    sheets = serializers.ListField(child=serializers.FileField(), max_length=3, allow_empty=False)
    single = serializers.FileField(required=False)
    names = serializers.ListField(child=serializers.CharField(), required=False)


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> Workflow:
    """A workflow with a list of files, registered for this test only."""
    monkeypatch.setattr(registry, "_workflows", dict(registry._workflows))
    return Workflow("sheets", params=ListParams, steps=[Step(tasks.noop, inputs=lambda _: {})])


def file(name: str = "a.csv", content: bytes = b"a,b") -> "ContentFile[bytes]":
    return ContentFile(content, name=name)


def read(name: str) -> bytes:
    with default_storage.open(name) as stored:
        content: bytes = stored.read()
    return content


@pytest.mark.parametrize(
    ("given", "contents"),
    [
        ([file("a.csv", b"1"), file("b.csv", b"2")], [b"1", b"2"]),
        ([file("a.csv", b"1"), file("a.csv", b"2")], [b"1", b"2"]),
        ([file("a.csv", b"1")], [b"1"]),
        (file("a.csv", b"1"), [b"1"]),
    ],
    ids=["two", "two of one name", "a list of one", "one by itself"],
)
def test_each_is_stored_and_deleted_with_the_run(
    sheets: Workflow,
    media: Path,
    given: Any,
    contents: list[bytes],
    django_capture_on_commit_callbacks: Any,
) -> None:
    run = run_inline(sheets, sheets=given, single=file("c.csv"))

    assert [read(name) for name in run.params["sheets"]] == contents
    assert run.params["sheets"][0] == f"runs/{run.pk}/a.csv"
    assert sorted(run.files) == sorted([*run.params["sheets"], run.params["single"]])
    with django_capture_on_commit_callbacks(execute=True):
        delete_run(run)
    assert [path for path in media.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({}, {"sheets": ["This field is required."]}),
        ({"sheets": []}, {"sheets": ["This list may not be empty."]}),
        (
            {"sheets": [file() for _ in range(4)]},
            {"sheets": ["Ensure this field has no more than 3 elements."]},
        ),
        (
            {"sheets": [file(), "a.csv", file(content=b"")]},
            {
                "sheets": {
                    1: ["The submitted data was not a file. Check the encoding type on the form."],
                    2: ["The submitted file is empty."],
                }
            },
        ),
        ({"sheets": [file()], "names": [file()]}, {"names": ["Send a value, not a file."]}),
        ({"sheets": [file()], "single": [file(), file()]}, {"single": ["Send one file."]}),
        (
            {"sheets": [file()], "others": file()},
            {"others": ["This workflow has no such parameter."]},
        ),
    ],
)
def test_invalid_files_are_errors_and_nothing_is_stored(
    sheets: Workflow, media: Path, given: dict[str, Any], errors: dict[str, Any]
) -> None:
    with pytest.raises(InvalidParams) as caught:
        start(sheets, given)

    assert caught.value.errors == errors
    assert not media.exists()


@pytest.mark.parametrize(
    ("again", "same"),
    [
        ([file(), file("b.csv")], True),
        ([file("b.csv"), file()], False),
        ([file(), file("b.csv", b"other")], False),
        ([file()], False),
    ],
    ids=["the same", "another order", "other content", "fewer"],
)
def test_a_key_stands_for_the_same_files(sheets: Workflow, again: Any, same: bool) -> None:
    ada = User.objects.create_user("ada")
    first = [file(), file("b.csv")]
    run = start(sheets, {"sheets": first}, owner=ada, idempotency_key="key")

    if same:
        assert start(sheets, {"sheets": again}, owner=ada, idempotency_key="key") == run
    else:
        with pytest.raises(KeyReused):
            start(sheets, {"sheets": again}, owner=ada, idempotency_key="key")


def test_the_command_line_names_each(sheets: Workflow, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(name)
    words = [f"sheets=@{tmp_path}/{name}" for name in ("a.csv", "b.csv")]

    with ExitStack() as files:
        run = start(sheets, params_of(words, files))

    assert [read(name) for name in run.params["sheets"]] == [b"a.csv", b"b.csv"]
    assert describe_params(sheets)[0] == "sheets: files (write @path for each), required"
