"""The pid file of a data directory: a lock while an `up` runs, and a list of its processes.

An `up` that was killed with SIGKILL leaves its programs running. The next one finds them here.
"""

import contextlib
import errno
import fcntl
import os
import signal
from pathlib import Path
from types import TracebackType

import psutil

from quickstart.errors import AlreadyRunning, DataDirUnusable

__all__ = ["PidFile", "make_folder"]

# Seconds. Start times are derived from the boot time, which moves a little when the clock is set.
SAME_START = 2.0
GRACE = 5.0


def make_folder(path: Path) -> None:
    """Make the data directory, if it is not there.

    Raises:
        DataDirUnusable: it cannot be made or written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            # Check now: an old pid file may be writable although the directory is not.
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as exc:
        raise _unusable(path, exc) from exc


def _unusable(path: Path, exc: OSError) -> DataDirUnusable:
    return DataDirUnusable(
        f"The data directory {path} cannot be used ({exc.strerror}): make it writable, or choose "
        "another one with --data-dir."
    )


class PidFile:
    """A context: inside it, this process is the only `up` of the directory that holds `path`.

    Raises on entry:
        AlreadyRunning: another one is inside.
        DataDirUnusable: the directory cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "PidFile":
        make_folder(self._path.parent)
        try:
            self._file = self._path.open("a+b")
        except OSError as exc:
            raise _unusable(self._path.parent, exc) from exc
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            self._file.close()
            raise AlreadyRunning(
                f"Another `up` is running on {self._path.parent}: stop it with Ctrl-C in its "
                "terminal, or choose another directory with --data-dir."
            ) from exc
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.truncate(0)
        self._file.close()

    def add(self, process: psutil.Process) -> None:
        """Record a started process. Any thread may call this: one appending write is atomic."""
        os.write(self._file.fileno(), f"{process.pid} {process.create_time()}\n".encode())

    def stop_leftovers(self) -> int:
        """Stop the processes that an earlier `up` left running; returns their number."""
        self._file.seek(0)
        leaders = [found for line in self._file.readlines() if (found := _still_running(line))]
        family = [member for leader in leaders for member in _with_descendants(leader)]
        for leader in leaders:
            _send(leader, signal.SIGTERM)
        for survivor in psutil.wait_procs(leaders, timeout=GRACE)[1] + family:
            _send(survivor, signal.SIGKILL)
        psutil.wait_procs(family, timeout=GRACE)
        self._file.truncate(0)
        return len(leaders)


def _still_running(line: bytes) -> psutil.Process | None:
    """The process of a line of the file; None if it has ended, even if its pid was reused.

    None also for a line that a crash has cut off.
    """
    try:
        pid, started = line.split()
        process = psutil.Process(int(pid))
        ended = process.status() == psutil.STATUS_ZOMBIE
        same = abs(process.create_time() - float(started)) < SAME_START
    except (ValueError, psutil.Error):
        return None
    return process if same and not ended else None


def _with_descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _send(process: psutil.Process, number: signal.Signals) -> None:
    # psutil compares start times first, so a reused pid gets no signal.
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
