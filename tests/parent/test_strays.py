"""Files of a start that failed are found, and deleted after a day. No other files are."""

import os
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, default_storage
from django.core.management import call_command
from django.utils import timezone

from parent.deletion.stray_files import delete_strays, find_strays
from parent.models import Executor, Run
from parent.operations.doctor.runs import files
from parent.runs.start import start
from parent.watch.tick import Ticker
from tests.flows import workflows

pytestmark = pytest.mark.django_db
NOBODYS = UUID("6b1f0d0e-4f0c-4a52-9d6e-0c8e4b2f7a11")
OLD, YOUNG = 25, 23  # hours
Make = Callable[..., Path]


@pytest.fixture
def put(media: Path) -> Make:
    """Create a file of that age in hours in the folder of uploads."""

    def make(name: str, hours: float = OLD) -> Path:
        path = media / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a,b")
        then = time.time() - hours * 3600
        os.utime(path, (then, then))
        return path

    return make


@pytest.mark.parametrize(
    "name",
    [
        f"runs/{NOBODYS}/a.csv",
        f"runs/{NOBODYS}/deeper/down/a.csv",
        "uploading/tmp1.upload",
        "uploading/.upload",
    ],
)
def test_what_is_of_no_run_goes_after_a_day(put: Make, media: Path, name: str) -> None:
    path = put(name, YOUNG)
    assert (delete_strays(), path.exists()) == (0, True)

    put(name, OLD)
    assert len(list(find_strays())) == 1
    assert delete_strays() == 1

    assert [left.name for left in media.rglob("*")] in (["runs"], ["uploading"])
    assert list(find_strays()) == []


def test_an_empty_folder_goes_too(put: Make, media: Path) -> None:
    path = put(f"runs/{uuid4()}/a.csv")
    path.unlink()
    then = time.time() - OLD * 3600
    os.utime(path.parent, (then, then))

    assert delete_strays() == 1
    assert not path.parent.exists()


def test_a_folder_stays_while_one_file_in_it_is_young(put: Make) -> None:
    folder = f"runs/{uuid4()}"
    old, young = put(f"{folder}/old.csv"), put(f"{folder}/sub/young.csv", YOUNG)

    assert delete_strays() == 0
    assert old.exists()
    assert young.exists()


@pytest.mark.parametrize(
    "name",
    [
        *("notes.txt", "runs/a.csv", "runs/mine/a.csv", "other/a.csv"),
        f"runs/{NOBODYS.hex}/a.csv",
        f"runs/{str(NOBODYS).upper()}/a.csv",
        *("uploading/kept.csv", "uploading/deeper/tmp.upload", "tmp.upload"),
    ],
)
def test_what_has_another_name_stays_however_old(put: Make, name: str) -> None:
    path = put(name, 10_000)

    assert list(find_strays()) == []
    assert delete_strays() == 0
    assert path.exists()


def test_the_files_of_a_run_stay(put: Make) -> None:
    run = start(workflows.noops, {})
    path = put(f"runs/{run.pk}/a.csv", 10_000)

    assert (delete_strays(), path.exists()) == (0, True)

    Run.objects.all().delete()
    assert (delete_strays(), path.exists()) == (1, False)


def test_no_link_is_followed(put: Make, media: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    kept = theirs / "tmp.upload"
    kept.write_text("theirs")
    os.utime(kept, (0, 0))
    ours = put(f"runs/{uuid4()}/a.csv").parent
    (ours / "folder").symlink_to(theirs)
    (ours / "file").symlink_to(kept)
    (ours / "nothing").symlink_to(tmp_path / "nothing")
    whole = media / "runs" / str(uuid4())
    whole.symlink_to(theirs)
    (media / "uploading").symlink_to(theirs)

    assert delete_strays() == 1

    assert not ours.exists()
    assert kept.read_text() == "theirs"
    assert whole.is_symlink()


def test_another_storage_is_asked_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage without local folders and paths."""
    storage = InMemoryStorage()
    monkeypatch.setattr(default_storage, "_wrapped", storage)
    stray, run = uuid4(), start(workflows.noops, {})
    for id in (stray, run.pk):
        storage.save(f"runs/{id}/a.csv", ContentFile(b"a"))
    assert list(find_strays()) == []

    tomorrow = timezone.now() + timedelta(hours=OLD)
    monkeypatch.setattr("parent.deletion.stray_files.clock.now", lambda: tomorrow)

    assert list(find_strays()) == [f"runs/{stray}"]
    assert delete_strays() == 1
    assert not storage.exists(f"runs/{stray}/a.csv")
    assert storage.exists(f"runs/{run.pk}/a.csv")


def test_the_doctor_tells_and_prune_deletes(put: Make) -> None:
    path, upload = put(f"runs/{uuid4()}/a.csv"), put("uploading/tmp.upload")
    stdout = StringIO()

    (told,) = files()
    call_command("workflow", "prune", stdout=stdout)

    assert told.what.startswith(f"2 uploads are of no run, such as runs/{path.parent.name}, ")
    assert told.do == "Run: python manage.py workflow prune"
    assert stdout.getvalue() == "0 runs deleted.\n2 uploads without a run deleted.\n"
    assert not path.exists()
    assert not upload.exists()
    assert list(files()) == []


def test_the_doctor_tells_of_a_storage_that_cannot_be_read(media: Path) -> None:
    media.mkdir()
    (media / "runs").write_text("no folder")

    (told,) = files()

    assert "cannot be read (" in told.what
    assert "MEDIA_ROOT" in told.do


@pytest.mark.parametrize("broken", [False, True], ids=["as ever", "with a storage that fails"])
def test_a_tick_deletes_them_and_bears_a_storage_that_fails(
    put: Make, media: Path, broken: bool
) -> None:
    path = put(f"runs/{uuid4()}/a.csv")
    if broken:
        path.unlink()
        path.parent.rmdir()
        (media / "runs").rmdir()
        (media / "runs").write_text("no folder")
    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)
    while not ticker.tick():
        pass

    assert not path.exists()
