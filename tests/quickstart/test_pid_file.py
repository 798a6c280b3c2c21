"""The pid file: one `up` at a time, and no process stopped that is not its own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from quickstart.errors import AlreadyRunning, DataDirUnusable
from quickstart.pid_file import PidFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "up.pids"


@pytest.fixture
def process() -> Iterator[psutil.Process]:
    """A process that runs until it is stopped."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        yield psutil.Process(running.pid)
        running.kill()


def left_behind(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)


def test_only_one_is_inside_at_a_time(path: Path) -> None:
    with PidFile(path), pytest.raises(AlreadyRunning, match="Ctrl-C"), PidFile(path):
        pass
    with PidFile(path) as pid_file:
        assert pid_file.stop_leftovers() == 0


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DataDirUnusable, match="make it writable"), PidFile(tmp_path / "file" / "x"):
        pass


def test_what_was_left_behind_is_stopped_once(path: Path, process: psutil.Process) -> None:
    left_behind(path, f"{process.pid} {process.create_time()}\n")

    with PidFile(path) as pid_file:
        assert pid_file.stop_leftovers() == 1
        assert not process.is_running()
        assert pid_file.stop_leftovers() == 0


def test_a_pid_that_went_to_another_process_is_left_alone(
    path: Path, process: psutil.Process
) -> None:
    left_behind(path, f"{process.pid} {process.create_time() - 60}\n")

    with PidFile(path) as pid_file:
        assert pid_file.stop_leftovers() == 0
    assert process.is_running()


@pytest.mark.parametrize("content", ["", "12", "12 \n", "x y\n", "-1 0.0\n", "\n\n", "1 2 3\n"])
def test_lines_that_were_cut_short_name_no_process(path: Path, content: str) -> None:
    left_behind(path, content)

    with PidFile(path) as pid_file:
        assert pid_file.stop_leftovers() == 0


def test_an_orderly_end_leaves_nothing_to_stop(path: Path, process: psutil.Process) -> None:
    with PidFile(path) as pid_file:
        pid_file.add(process)
        assert path.read_text().startswith(f"{process.pid} ")

    assert path.read_text() == ""
    assert process.is_running()
