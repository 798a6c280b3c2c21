"""What `make` does with a `.venv` that it finds: it empties nothing that is not its own.

In a copy of the Makefile, with a Python that installs nothing.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import missing

ROOT = Path(__file__).resolve().parent.parent
FILES = ("Makefile", "requirements.lock", "requirements-dev.lock")
PYTHON = """#!/bin/sh
echo "$@" >> {folder}/calls
case "$*" in
*"-m venv --clear "*)
	rm -rf "$4"/*; mkdir -p "$4"/bin; touch "$4"/pyvenv.cfg; cp "$0" "$4"/bin/python;;
esac
"""

Make = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The project as far as make needs it."""
    if shutil.which("make") is None:
        missing("there is no make")
    project = tmp_path / "project"
    project.mkdir()
    for name in FILES:
        shutil.copyfile(ROOT / name, project / name)
    return project


@pytest.fixture
def make(folder: Path) -> Make:
    """Call make there."""
    python = folder.parent / "python"
    python.write_text(PYTHON.format(folder=folder.parent))
    python.chmod(0o755)
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}

    def call(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["make", f"PYTHON={python}", *words],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def calls(folder: Path) -> list[str]:
    """What Python was called with."""
    told = folder.parent / "calls"
    return told.read_text().splitlines() if told.exists() else []


def elsewhere(folder: Path) -> Path:
    """A folder outside that somebody needs."""
    precious = folder.parent / "precious"
    precious.mkdir()
    (precious / "kept").write_text("kept")
    return precious


def link_to_a_folder(folder: Path) -> None:
    (folder / ".venv").symlink_to(elsewhere(folder))


def link_to_a_virtual_environment(folder: Path) -> None:
    (elsewhere(folder) / "pyvenv.cfg").touch()
    (folder / ".venv").symlink_to("../precious")


def link_to_nothing(folder: Path) -> None:
    (folder / ".venv").symlink_to(folder / "nowhere")


def file(folder: Path) -> None:
    (folder / ".venv").write_text("kept")


def other_folder(folder: Path) -> None:
    (folder / ".venv").mkdir()
    (folder / ".venv" / ".kept").write_text("kept")


def content(folder: Path) -> dict[str, str]:
    found = folder.parent.rglob("*")
    return {str(path): path.read_text() for path in found if "kept" in path.name or path.is_file()}


NOT_OURS = [
    (link_to_a_folder, ".venv is a symbolic link to "),
    (link_to_a_virtual_environment, ".venv is a symbolic link to ../precious"),
    (link_to_nothing, ".venv is a symbolic link to "),
    (file, ".venv is a file"),
    (other_folder, ".venv is a folder that is not a virtual environment"),
]


@pytest.mark.parametrize("target", ["up", "test", "lint"])
@pytest.mark.parametrize(("found", "says"), NOT_OURS)
def test_what_is_not_ours_is_refused_and_stays_as_it_is(
    folder: Path, make: Make, found: Callable[[Path], None], says: str, target: str
) -> None:
    found(folder)
    before = content(folder)

    refused = make(target)

    assert refused.returncode != 0
    assert refused.stderr.startswith(says)
    assert "call make again" in refused.stderr
    assert content(folder) == before
    assert not [call for call in calls(folder) if "venv" in call]


def test_a_link_to_one_that_is_complete_gets_no_packages_of_ours(folder: Path, make: Make) -> None:
    precious = elsewhere(folder)
    (folder / ".venv").symlink_to(precious)
    (precious / "installed").touch()  # newer than the lock file

    refused = make("test")

    assert refused.stderr.startswith(".venv is a symbolic link to ")
    assert calls(folder) == []


def nothing(folder: Path) -> None:
    pass


def empty_folder(folder: Path) -> None:
    (folder / ".venv").mkdir()


def broken_off(folder: Path) -> None:
    """An installation that was interrupted."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "pyvenv.cfg").touch()


@pytest.mark.parametrize("found", [nothing, empty_folder, broken_off])
def test_otherwise_it_is_made_once_and_anew_for_another_lock_file(
    folder: Path, make: Make, found: Callable[[Path], None]
) -> None:
    found(folder)

    for _ in range(2):
        assert make("up", "PORT=8123").returncode == 0
    made = [call for call in calls(folder) if "-m venv" in call]
    assert made == ["-m venv --clear .venv"]
    assert calls(folder)[-1] == "manage.py up --port 8123"

    stamp = (folder / ".venv" / "installed").stat().st_mtime
    os.utime(folder / "requirements.lock", (stamp + 10, stamp + 10))
    assert make("up").returncode == 0
    assert len([call for call in calls(folder) if "-m venv" in call]) == 2


@pytest.mark.parametrize("name", [".venv", ".venv-3.12", "build", ".mypy_cache"])
def test_clean_takes_a_link_and_leaves_what_is_behind_it(
    folder: Path, make: Make, name: str
) -> None:
    precious = elsewhere(folder)
    (precious / "__pycache__").mkdir()
    (folder / name).symlink_to(precious)

    assert make("clean").returncode == 0

    assert not (folder / name).is_symlink()
    assert sorted(path.name for path in precious.iterdir()) == ["__pycache__", "kept"]


@pytest.mark.parametrize("found", [file, other_folder])
def test_clean_leaves_a_venv_that_is_none(
    folder: Path, make: Make, found: Callable[[Path], None]
) -> None:
    found(folder)
    before = content(folder)

    cleaned = make("clean")

    assert cleaned.stderr == ".venv is not a virtual environment: it stays.\n"
    assert content(folder) == before


def test_clean_takes_ours_and_the_caches_and_no_data(folder: Path, make: Make) -> None:
    broken_off(folder)
    cache, data = folder / "parent" / "__pycache__", folder / ".data" / "media" / "__pycache__"
    for each in (cache, data, folder / ".venv-3.12"):
        each.mkdir(parents=True)
    (folder / ".venv-3.12" / "pyvenv.cfg").touch()

    assert make("clean").returncode == 0

    left = {path.name for path in folder.iterdir()}
    assert left == {*FILES, "parent", ".data"}
    assert not cache.exists()
    assert data.exists()
