"""A place where the files of runs cannot be kept is found by a check, before somebody uploads."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.checks import CheckMessage
from rest_framework.fields import CharField, FileField, ListField
from rest_framework.serializers import Serializer

from children import Progress, child_task
from parent import Step, Workflow
from parent.checks import check_workflows

pytestmark = pytest.mark.usefixtures("own_registry")

NOBODY = 65_534


class OneFile(Serializer[Any]):
    table = FileField()


class Files(Serializer[Any]):
    tables = ListField(child=FileField())


class NoFile(Serializer[Any]):
    table = CharField()


@child_task(name="checked.read")
def read(progress: Progress, **inputs: Any) -> None: ...


def found() -> list[CheckMessage]:
    return [each for each in check_workflows() if each.id == "workflows.W002"]


def below_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "media"


def in_the_place_of_its_folder(folder: Path) -> Path:
    (folder / "runs").touch()
    return folder


WRONG: list[tuple[Callable[[Path], Path | str], str]] = [
    (lambda _: "", "MEDIA_ROOT = '' is another folder"),
    (lambda _: "media", "MEDIA_ROOT = 'media' is another folder"),
    (lambda _: Path("../media"), "MEDIA_ROOT = '../media' is another folder"),
    (below_a_file, "nothing can be written to {folder}/file, with"),
    (in_the_place_of_its_folder, "nothing can be written to {folder}/runs, with"),
]


@pytest.mark.parametrize(("place", "told"), WRONG)
def test_a_place_that_cannot_be_used_is_told(
    settings: LazySettings, tmp_path: Path, place: Callable[[Path], Path | str], told: str
) -> None:
    settings.MEDIA_ROOT = place(tmp_path)
    Workflow("tables", params=Files, steps=[Step(read)])

    [message] = found()

    assert message.msg.startswith(
        f"Workflow 'tables': it takes files, and {told}".format(folder=tmp_path)
    )
    assert "Web processes and workers" in str(message.hint)


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder in which this process may not write, also where the tests are root."""
    tmp_path.chmod(0o500)
    if root := os.geteuid() == 0:
        os.seteuid(NOBODY)
    yield tmp_path
    if root:
        os.seteuid(0)
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("name", [".", "media", "media/of/us"])
def test_a_folder_of_somebody_else_is_told(settings: LazySettings, closed: Path, name: str) -> None:
    settings.MEDIA_ROOT = closed / name
    Workflow("table", params=OneFile, steps=[Step(read)])

    [message] = found()

    assert "nothing can be written to" in message.msg
    assert "writable for this user" in str(message.hint)


ELSEWHERE = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WELL: list[tuple[type[Serializer[Any]], dict[str, Any]]] = [
    (NoFile, {"MEDIA_ROOT": "media"}),
    (OneFile, {"MEDIA_ROOT": "media", "STORAGES": ELSEWHERE}),
    (OneFile, {}),  # where the tests have it
]


@pytest.mark.parametrize(("params", "changes"), WELL)
def test_nothing_is_told_of_a_place_that_serves(
    settings: LazySettings, params: type[Serializer[Any]], changes: dict[str, Any]
) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    Workflow("table", params=params, steps=[Step(read)])

    assert found() == []


def test_a_folder_that_is_still_to_be_made_serves(settings: LazySettings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "not" / "yet"
    Workflow("table", params=OneFile, steps=[Step(read)])

    assert found() == []
    assert list(tmp_path.iterdir()) == []
