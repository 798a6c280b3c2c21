"""`manage.py workflow start --watch` and `watch`, as people type them, on a real worker."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from parent.models import Run, RunState
from tests.flows import workflows
from tests.system.conftest import Gate, StartWorker
from tests.waiting import ended
from tests.workers import Worker, database_url

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"

Type = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def type_command(transactional_db: None, broker: str) -> Iterator[Type]:
    """Run `manage.py workflow` with these words. What still runs at the test's end is killed."""
    typed: list[subprocess.Popen[str]] = []
    environ = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": database_url(),
        "REDIS_URL": broker,
        "TERM": "xterm",
        "COLUMNS": "100",
        # With these variables Rich writes control codes even without a terminal.
        "FORCE_COLOR": "1",
        "TTY_COMPATIBLE": "1",
    }

    def run(*words: str, stderr: int = subprocess.PIPE) -> "subprocess.Popen[str]":
        command = [sys.executable, str(MANAGE), "workflow", *words]
        process = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        typed.append(process)
        return process

    yield run
    for process in typed:
        process.kill()
        process.communicate()


def line_with(text: str, process: "subprocess.Popen[str]") -> str:
    """Return the next line of stderr that contains `text`."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if text in line:
            return str(line)
    raise AssertionError(f"no {text!r} in {seen}")


def end(process: "subprocess.Popen[str]") -> tuple[int, str, list[str]]:
    """The exit code, stdout, and the lines of stderr that were not read yet."""
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr.splitlines()


def test_start_and_watch_ends_with_the_result_alone_on_stdout(
    worker: Worker, gate: Gate, type_command: Type
) -> None:
    process = type_command("start", "gate", f"gate={gate.name}", "--watch")

    name, run_id = line_with("gate", process).split()
    gate.reached()
    reported = line_with("waiting at the gate", process)
    gate.open()
    code, stdout, lines = end(process)

    assert (name, Run.objects.get().pk) == ("gate", Run.objects.get(pk=run_id).pk)
    assert "gated RUNNING, 30.0 %, waiting at the gate (3 of 10)" in reported
    assert (code, json.loads(stdout)) == (0, None)
    assert lines[-1] == "100.0 %  gate SUCCESS"
    assert not [line for line in [reported, *lines] if "\x1b" in line]


def test_a_failed_run_is_exit_code_1_and_its_error_on_stderr(
    worker: Worker, type_command: Type
) -> None:
    code, stdout, lines = end(type_command("start", "broken", "--watch"))

    assert (code, stdout) == (1, "")
    assert lines[-1] == "CommandError: Error in fails: it is broken"
    assert any(line.endswith("never SKIPPED, skipped: fails failed") for line in lines), lines


def test_it_says_that_no_worker_is_running_and_goes_on_when_one_comes(
    start_worker: StartWorker, type_command: Type
) -> None:
    process = type_command("start", "sums", "a=5", "--watch")
    line_with("no worker is running: the run waits for one.", process)

    start_worker("-P", "threads", "-c", "1")

    assert end(process)[:2] == (0, "14\n")


def test_ctrl_c_leaves_the_run_alone_and_says_how_to_watch_it_again(
    worker: Worker, gate: Gate, type_command: Type
) -> None:
    run = workflows.gate.start(gate=gate.name)
    process = type_command("watch", str(run.pk))
    gate.reached()
    line_with("waiting at the gate", process)

    process.send_signal(signal.SIGINT)
    code, stdout, lines = end(process)

    assert (code, stdout) == (130, "")
    again = f"python manage.py workflow watch {run.pk}"
    assert lines == [f"The run goes on. Watch it again: {again}"]
    gate.open()
    assert ended(run).state == RunState.SUCCESS
    assert end(type_command(*again.split()[3:]))[:2] == (0, "null\n")


def test_a_log_is_followed_until_the_run_has_ended(
    worker: Worker, gate: Gate, type_command: Type
) -> None:
    run = workflows.logging_flow.start(gate=gate.name)
    process = type_command("log", str(run.pk), "--follow")
    gate.reached()
    assert process.stdout is not None
    before = [process.stdout.readline() for _ in range(2)]
    gate.open()
    code, after, errors = end(process)

    assert [line.rpartition(": ")[2] for line in before] == ["begun\n", "printed\n"]
    assert (code, errors) == (0, [])
    assert after.endswith(": the gate is open\n")
    assert after.count("\n") == 1  # no line comes twice


@pytest.mark.parametrize("words", [("--follow",), ()])
def test_who_has_read_enough_of_a_log_sees_no_traceback(
    worker: Worker, type_command: Type, words: tuple[str, ...]
) -> None:
    """`| head -1`, of more than a pipe holds."""
    run = ended(workflows.flooding.start(a=2_000))
    process = type_command("log", str(run.pk), *words)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()

    assert (process.wait(timeout=60), said) == (141, "")


def test_a_terminal_has_bars_that_are_redrawn(
    worker: Worker, gate: Gate, type_command: Type
) -> None:
    terminal, other_end = pty.openpty()
    process = type_command("start", "gate", f"gate={gate.name}", "--watch", stderr=other_end)
    os.close(other_end)

    gate.reached()
    half_way = screen_with("waiting at the gate (3 of 10)", terminal)
    gate.open()
    last = screen_with("SUCCESS", terminal)
    stdout, _ = process.communicate(timeout=60)
    os.close(terminal)

    assert "\x1b[" in half_way
    assert "━" in half_way
    assert "30.0 %" in half_way
    assert "100.0 %" in last
    assert (process.returncode, stdout) == (0, "null\n")


def screen_with(text: str, terminal: int) -> str:
    """What was written to the terminal from here to `text`."""
    seen: Any = b""
    while text.encode() not in seen:
        seen += os.read(terminal, 4096)
    return str(seen, "utf-8", "replace")
