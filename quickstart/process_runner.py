"""Keeps one program running: starts it, starts it again when it ends, gives it up in the end."""

import contextlib
import os
import shlex
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

import psutil
from honcho.printer import Message
from honcho.process import Popen, Process

__all__ = ["ProcessRunner", "Program", "pause_before_restart"]

SHORT_LIFE = 10.0  # seconds; a process that ended sooner may well end so again
SHORT_LIVES = 5  # as many in a row, and the program is given up
FIRST_PAUSE = 0.25  # seconds; doubled with each further short life


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run: a command line in an environment. `name` stands before each of its lines,
    `remedy` says what a user can do when it keeps ending."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    remedy: str


def pause_before_restart(short_lives: int) -> float | None:
    """Seconds to wait after so many short lives in a row; None when the program is given up."""
    if short_lives >= SHORT_LIVES:
        return None
    return float(FIRST_PAUSE * 2 ** max(short_lives - 1, 0))


class ProcessRunner:
    """Runs a program until it is told to leave, or gives it up. Each callable is called from
    the runner's own thread.

    Args:
        show: prints a line.
        started: takes each process, as soon as it runs.
        gave_up: takes the sentence that says so.
    """

    def __init__(
        self,
        program: Program,
        colour: str,
        *,
        show: Callable[[Message], None],
        started: Callable[[psutil.Process], None],
        gave_up: Callable[[str], None],
    ) -> None:
        self._program = program
        self._show = show
        self._started = started
        self._gave_up = gave_up
        # `exec`, so that the pid is the program's and not a shell's.
        self._honcho = Process(
            f"exec {shlex.join(program.command)}",
            name=program.name,
            colour=colour,
            env=dict(program.environment),
        )
        # Private. honcho has no public way to choose the class of the process that it starts.
        self._honcho._child_ctor = _Group
        self._thread = threading.Thread(target=self._run, name=program.name, daemon=True)
        self._lock = threading.Lock()
        self._leaving = threading.Event()
        self._process: psutil.Process | None = None
        self._exit_code = 0

    def start(self) -> None:
        """Start the program, and return at once."""
        self._thread.start()

    def leave(self) -> None:
        """Begin a warm stop: the program's main process is asked to end, and is not replaced."""
        with self._lock:
            self._leaving.set()
            self._signal(signal.SIGTERM)

    def join(self, timeout: float) -> None:
        """Wait until the program has ended, at most `timeout` seconds."""
        self._thread.join(timeout)

    def kill(self) -> None:
        """End at once what a warm stop did not end."""
        with self._lock:
            self._signal(signal.SIGKILL)

    def put(self, message: Message) -> None:
        """Take what honcho reports, in the runner's thread."""
        match message.type:
            case "line":
                self._show(message)
            case "start":
                # It may have ended already, and be waited for.
                with contextlib.suppress(psutil.NoSuchProcess):
                    self._note(psutil.Process(message.data["pid"]))
            case "stop":
                self._exit_code = message.data["returncode"]

    def _run(self) -> None:
        try:
            self._run_again_and_again()
        except Exception as exc:  # unseen, it would leave the program without a runner
            self._gave_up(f"The {self._program.name} program cannot be kept running: {exc!r}.")

    def _run_again_and_again(self) -> None:
        short_lives = 0
        while not self._leaving.is_set():
            begun = monotonic()
            self._honcho.run(events=self)
            if self._leaving.is_set():
                return
            short_lives = short_lives + 1 if monotonic() - begun < SHORT_LIFE else 0
            pause = pause_before_restart(short_lives)
            if pause is None:
                self._gave_up(self._last_words())
                return
            self._say(f"ended with exit code {self._exit_code}, starts again in {pause:g} s")
            self._leaving.wait(pause)

    def _note(self, process: psutil.Process) -> None:
        with self._lock:
            self._process = process
            if self._leaving.is_set():
                # It was being spawned while `leave` looked for it.
                self._signal(signal.SIGTERM)
        self._started(process)

    def _signal(self, number: signal.Signals) -> None:
        # psutil compares start times first: a pid that was used anew is left alone.
        if self._process:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._process.send_signal(number)

    def _say(self, text: str) -> None:
        now = datetime.now()  # noqa: DTZ005 - local time, as honcho prints it
        self._show(Message("line", text, now, self._program.name, self._honcho.colour))

    def _last_words(self) -> str:
        return (
            f"The {self._program.name} program ended {SHORT_LIVES} times within {SHORT_LIFE:g} s "
            f"of its start, the last time with exit code {self._exit_code}; its lines above say "
            f"why. {self._program.remedy}"
        )


class _Group(Popen):  # type: ignore[misc]  # honcho has no types
    """A process that takes its group along when it ends.

    An orphan of a killed process would hold the pipe open, and honcho reads to its end: the
    death would go unnoticed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        threading.Thread(target=self._sweep, daemon=True).start()

    def _sweep(self) -> None:
        self.wait()
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
