"""Tools that know only Celery: Flower and `celery inspect`."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from parent.models import RunState
from tests.flows import workflows
from tests.ops.conftest import Gate, StartWorker
from tests.services import free_port
from tests.system.conftest import step
from tests.waiting import ended, until
from tests.workers import Worker, fork_servers

ROOT = Path(__file__).resolve().parents[2]


class Flower:
    """Its API."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api"

    def get(self, path: str) -> Any:
        """What it answers; None where it does not know, or does not listen yet."""
        try:
            with urllib.request.urlopen(self._url + path, timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            return None


@contextmanager
def flower(environ: dict[str, str], log: Path) -> Iterator[Flower]:
    port = free_port()
    command = [sys.executable, "-m", "celery", "-A", "mainproj", "flower", "--address=127.0.0.1"]
    variables = environ | {"FLOWER_UNAUTHENTICATED_API": "true"}
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, f"--port={port}"], env=variables, stdout=out, stderr=out
        )
        try:
            api = Flower(port)
            until("flower", lambda: api.get("/workers?refresh=1"), timeout=60, every=0.2)
            yield api
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.fixture
def worker(start_worker: StartWorker) -> Worker:
    return start_worker("-P", "prefork", "-c", "2", "-n", "one@here")


def test_flower_shows_the_children_of_a_run(
    worker: Worker, broker: str, gate: Gate, tmp_path: Path
) -> None:
    with flower(worker.environ, tmp_path / "flower.log") as api:
        run, broken = workflows.gate.start(gate=gate.name), workflows.broken.start()
        gate.reached()
        child = step(run, "gated").task_id

        def state(task_id: str | None) -> str:
            told = api.get(f"/task/info/{task_id}")
            return str(told["state"]) if told else ""

        until("its start", lambda: state(child) == "STARTED")
        gate.open()
        assert ended(run).state == RunState.SUCCESS
        assert ended(broken).state == RunState.FAILURE

        until("its end", lambda: state(child) == "SUCCESS")
        failed = step(broken, "fails").task_id
        until("the failure", lambda: state(failed) == "FAILURE")
        told = api.get(f"/task/info/{failed}")
        assert told["name"] == "flows.fails"
        assert "it is broken" in told["exception"]
        assert told["worker"] == "one@here"
        assert "flows.gated" in {task["name"] for task in api.get("/tasks").values()}
        assert api.get("/workers")["one@here"]["active_queues"][0]["name"] == "celery"


def inspect(worker: Worker, *what: str) -> Any:
    """What `celery inspect` prints about the worker."""
    command = ["-m", "celery", "-A", "mainproj", "inspect", *what, "--json"]
    answer = fork_servers.of(worker.environ).complete(
        *(*command, "--timeout", "10", "--destination", "one@here"),
        environ=worker.environ,
        cwd=str(ROOT),
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)["one@here"]


def test_celery_inspect_works_while_a_run_goes_on(
    worker: Worker, start_worker: StartWorker, gate: Gate
) -> None:
    run = workflows.gate.start(gate=gate.name)
    gate.reached()
    gated = step(run, "gated")

    (active,) = inspect(worker, "active")
    assert (active["id"], active["name"]) == (gated.task_id, "flows.gated")
    assert active["kwargs"] == {"gate": gate.name}
    assert {"flows.gated", "parent.gate"} <= set(inspect(worker, "registered"))
    stats = inspect(worker, "stats")
    assert stats["pid"] == worker.process.pid
    assert stats["total"]["flows.gated"] == 1

    gate.open()
    assert ended(run).state == RunState.SUCCESS
    assert inspect(worker, "active") == []
