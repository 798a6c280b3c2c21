"""Runs programs side by side, prints their lines with their names, and stops them in order.

honcho starts each process in its own session, and relays and prints its lines. Its `Manager` is
not used: it starts and stops all at once, and ends everything when one program ends.
"""

import contextlib
import queue
import threading
from collections.abc import Callable
from io import TextIOWrapper
from time import monotonic
from types import TracebackType
from typing import TextIO

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from quickstart.errors import KeepsEnding
from quickstart.pid_file import PidFile
from quickstart.process_runner import ProcessRunner, Program

__all__ = ["Supervisor"]

# All in seconds.
GRACE = 5.0  # for a warm stop; then the process and its group are killed
PATIENCE = 30.0  # then a line says what `until` is waiting for
PROBE_PAUSE = 0.1


class Supervisor:
    """A context. When it is left, all its programs have ended, with their descendants.

    Programs that were started last stop first; those started together stop together.

    Raises on leaving:
        KeepsEnding: a program was given up.
    """

    def __init__(self, out: TextIO, pid_file: PidFile) -> None:
        self._pid_file = pid_file
        self._batches: list[list[ProcessRunner]] = []
        # A SimpleQueue, because `stop` runs in signal handlers: another lock of `threading` could
        # be held by the code that the signal interrupts.
        self._endings: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._ended = False
        self._failure: str | None = None
        self._printing = threading.Lock()
        if isinstance(out, TextIOWrapper):
            # A letter that the terminal does not have is not a reason to end.
            out.reconfigure(errors="backslashreplace")
        self._out = out
        self._printer = Printer(out)
        self._colours = get_colours()

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for batch in reversed(self._batches):
            _stop(batch)
        if self._failure:
            raise KeepsEnding(self._failure)

    def start(self, *programs: Program) -> None:
        """Start programs that need the earlier ones, but not each other."""
        self._printer.width = max(self._printer.width, *(len(each.name) for each in programs))
        batch: list[ProcessRunner] = []
        self._batches.append(batch)
        for program in programs:
            runner = ProcessRunner(
                program,
                next(self._colours),
                show=self.show,
                started=self._pid_file.add,
                gave_up=self.stop,
            )
            runner.start()
            batch.append(runner)

    def stop(self, failure: str | None = None) -> None:
        """Request the end, from any thread or signal handler; `failure` is the reason, if any."""
        self._endings.put(failure)

    def ended(self, timeout: float | None = None) -> bool:
        """Wait for a call of `stop`, at most `timeout` seconds. For the main thread only."""
        if not self._ended:
            with contextlib.suppress(queue.Empty):
                self._failure = self._endings.get(timeout=timeout)
                self._ended = True
        return self._ended

    def until(self, name: str, problem: Callable[[], str | None]) -> bool:
        """Call `problem` until it returns None; False if `stop` was called first.

        A long wait prints one line with the problem. It is not an error: a worker that is busy with
        work from before answers late, and a program that keeps ending is given up anyway.
        """
        patience = monotonic() + PATIENCE
        while (reason := problem()) is not None:
            if self.ended(timeout=PROBE_PAUSE):
                return False
            if monotonic() > patience:
                patience = float("inf")
                self.say(f"{name} does not answer yet ({reason}); waiting on, Ctrl-C stops.")
        return True

    def say(self, text: str) -> None:
        """Print our own lines, without others in between."""
        self._print(lambda: print(text, file=self._out, flush=True))

    def show(self, message: Message) -> None:
        """Print a line of a process after its name."""
        self._print(lambda: self._printer.write(message))

    def _print(self, write: Callable[[], None]) -> None:
        with self._printing:
            try:
                write()
            except OSError:
                # The reader of our output has ended: a closed terminal, or `| head`.
                self.stop()


def _stop(batch: list[ProcessRunner]) -> None:
    for runner in batch:
        runner.leave()
    deadline = monotonic() + GRACE
    for runner in batch:
        runner.join(max(0.0, deadline - monotonic()))
    for runner in batch:
        runner.kill()
    for runner in batch:
        runner.join(GRACE)
