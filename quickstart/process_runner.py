"""Keeps one program running: starts it, restarts it when it ends, and finally gives up."""

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

SHORT_LIFE = 10.0  # seconds; a process that ends sooner has a short life
SHORT_LIVES = 5  # after so many in a row the program is given up
FIRST_PAUSE = 0.25  # seconds; doubled with each further short life


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run: a command line in an environment. `name` is printed before each of its
    lines; `remedy` says what a user can do if it keeps ending."""

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
    """Runs a program until `leave`, or until it gives up. It calls the callables in its thread.

    Args:
        show: prints a line.
        started: gets each process as soon as it runs.
        gave_up: gets the sentence that says why.
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
        # `exec`, so that the pid is the program's and not the shell's.
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
        """Begin a warm stop: SIGTERM to the main process, and no restart."""
        with self._lock:
            self._leaving.set()
            self._signal(signal.SIGTERM)

    def join(self, timeout: float) -> None:
        """Wait until the program has ended, at most `timeout` seconds."""
        self._thread.join(timeout)

    def kill(self) -> None:
        """SIGKILL to the main process, if a warm stop did not end it."""
        with self._lock:
            self._signal(signal.SIGKILL)

    def put(self, message: Message) -> None:
        """Handle a message of honcho, in the runner's thread."""
        match message.type:
            case "line":
                self._show(message)
            case "start":
                # It may have ended already.
                with contextlib.suppress(psutil.NoSuchProcess):
                    self._note(psutil.Process(message.data["pid"]))
            case "stop":
                self._exit_code = message.data["returncode"]

    def _run(self) -> None:
        try:
            self._run_again_and_again()
        except Exception as exc:  # otherwise the thread would end unnoticed
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
                # It was being started while `leave` ran.
                self._signal(signal.SIGTERM)
        self._started(process)

    def _signal(self, number: signal.Signals) -> None:
        # psutil compares start times first, so a reused pid gets no signal.
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
    """A process whose group is killed when it ends.

    honcho reads the process's pipe to its end. An orphan of a killed process would hold the pipe
    open, and the end of the process would go unnoticed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        threading.Thread(target=self._sweep, daemon=True).start()

    def _sweep(self) -> None:
        self.wait()
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
