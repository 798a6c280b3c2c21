"""The supervisor with small real processes: order, restarts, stubborn ones and orphans."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TextIO

import psutil
import pytest

from quickstart import process_runner, supervisor
from quickstart.errors import KeepsEnding
from quickstart.pid_file import PidFile
from quickstart.process_runner import Program, pause_before_restart
from quickstart.supervisor import Supervisor
from tests.quickstart.conftest import running

UNTIL_TERMINATED = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
print("started", flush=True)
while True: signal.pause()
"""
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("started", os.fork(), flush=True)
while True: signal.pause()
"""
# The orphan keeps the pipe open that the supervisor reads.
DIES_AND_LEAVES_AN_ORPHAN = """
import os, signal, sys
orphan = os.fork()
if orphan:
    print("orphan", orphan, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
while True: signal.pause()
"""


class Output(io.StringIO):
    """Text that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        self._changed.set()
        return written

    def wait_for(self, text: str, times: int = 1) -> None:
        while self.getvalue().count(text) < times:
            assert self._changed.wait(10), f"no {text!r} in {self.getvalue()}"
            self._changed.clear()

    def numbers_after(self, word: str) -> list[int]:
        words = self.getvalue().split()
        return [int(words[i + 1]) for i, each in enumerate(words) if each == word]


def program(name: str, code: str) -> Program:
    return Program(
        name=name,
        command=[sys.executable, "-c", code],
        environment=dict(os.environ),
        remedy="Mend it.",
    )


@pytest.fixture
def out() -> Output:
    return Output()


def keep_until_it_ends(out: TextIO, tmp_path: Path, kept: Program) -> None:
    with supervising(out, tmp_path) as processes:
        processes.start(kept)
        assert processes.ended()


@contextmanager
def supervising(out: TextIO, tmp_path: Path) -> Iterator[Supervisor]:
    with PidFile(tmp_path / "up.pids") as pid_file, Supervisor(out, pid_file) as running:
        yield running


def test_pauses_grow_and_then_the_program_is_given_up() -> None:
    pauses = [pause_before_restart(short_lives) for short_lives in range(6)]

    assert pauses == [0.25, 0.25, 0.5, 1.0, 2.0, None]


def test_what_started_last_stops_first(out: Output, tmp_path: Path) -> None:
    with supervising(out, tmp_path) as processes:
        processes.start(program("broker", UNTIL_TERMINATED))
        out.wait_for("started")
        processes.start(program("web", UNTIL_TERMINATED), program("worker", UNTIL_TERMINATED))
        out.wait_for("started", times=3)

    stopped = [line.split()[1] for line in out.getvalue().splitlines() if "stopped" in line]
    assert sorted(stopped[:2]) == ["web", "worker"]
    assert stopped[2:] == ["broker"]


def test_a_process_that_ends_is_started_again_after_its_orphans_are_gone(
    out: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_runner, "FIRST_PAUSE", 0.01)

    with supervising(out, tmp_path) as processes:
        processes.start(program("worker", DIES_AND_LEAVES_AN_ORPHAN))
        out.wait_for("orphan", times=2)

    assert "ended with exit code -9, starts again in 0.01 s" in out.getvalue()
    for pid in out.numbers_after("orphan"):
        assert not psutil.pid_exists(pid) or not running([psutil.Process(pid)])


def test_a_stubborn_process_is_killed_with_its_descendants(
    out: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "GRACE", 0.2)
    others = set(psutil.Process().children(recursive=True))  # the session's own servers

    with supervising(out, tmp_path) as processes:
        processes.start(program("worker", STUBBORN))
        out.wait_for("started", times=2)
        family = list(set(psutil.Process().children(recursive=True)) - others)
        assert len(running(family, seconds=0)) == 2

    assert running(family) == []


def test_a_program_that_keeps_ending_at_once_is_given_up(
    out: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_runner, "FIRST_PAUSE", 0.01)
    hopeless = program("worker", "print('no config'); raise SystemExit(3)")
    expected = r"The worker program ended 5 times within 10 s .* exit code 3; .* Mend it\."

    with pytest.raises(KeepsEnding, match=expected):
        keep_until_it_ends(out, tmp_path, hopeless)

    assert out.getvalue().count("worker | no config") == process_runner.SHORT_LIVES


def test_a_program_that_cannot_be_spawned_is_given_up(out: Output, tmp_path: Path) -> None:
    impossible = Program(name="web", command=["x" * 3_000_000], environment={}, remedy="")

    with pytest.raises(KeepsEnding, match="web program cannot be kept running"):
        keep_until_it_ends(out, tmp_path, impossible)


def test_waiting_for_an_answer_ends_with_the_answer_or_with_the_end(
    out: Output, tmp_path: Path
) -> None:
    problems = iter(["not yet", "not yet", None])

    with supervising(out, tmp_path) as processes:
        assert processes.until("web", lambda: next(problems))
        processes.stop()
        assert not processes.until("worker", lambda: "never")


def test_a_long_wait_is_said_once(
    out: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "PATIENCE", 0.0)
    problems = iter(["busy", "busy", "busy", None])

    with supervising(out, tmp_path) as processes:
        assert processes.until("worker", lambda: next(problems))

    assert out.getvalue() == "worker does not answer yet (busy); waiting on, Ctrl-C stops.\n"


def test_it_ends_when_nobody_reads_its_lines_any_more(tmp_path: Path) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(text)

    with supervising(Gone(), tmp_path) as processes:
        processes.say("ready")
        assert processes.ended(timeout=5)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_line_that_a_terminal_cannot_show_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(process_runner, "FIRST_PAUSE", 0.01)
    shown = io.BytesIO()
    says = (
        r"import os; os.write(1, 'Z\u00fcrich \u4e2d'.encode() + b' \xff\n'); raise SystemExit(3)"
    )

    with pytest.raises(KeepsEnding, match="ended 5 times"):
        keep_until_it_ends(io.TextIOWrapper(shown, encoding), tmp_path, program("worker", says))

    assert shown.getvalue().count(b"worker | Z") == process_runner.SHORT_LIVES
