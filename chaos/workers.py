"""The workers of the chaos test, started again whenever they end."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

__all__ = ["Worker", "Workers"]

POOLS = ("prefork", "prefork", "threads", "threads")
SLOTS = 2
ENDS_WITHIN = 20.0  # seconds after SIGTERM


class Worker:
    """A worker process, and after its end the one that replaces it."""

    def __init__(self, name: str, pool: str, folder: Path) -> None:
        self.name, self.pool = name, pool
        self._log = folder / f"{name}.log"
        self._command = [sys.executable, "-m", "celery", "-A", "mainproj", "worker", "-l", "INFO"]
        self._command += ["--without-mingle", "--without-gossip", "-n", f"{name}@%h"]
        self._command += ["-P", pool, "-c", str(SLOTS)]

    def start(self) -> None:
        with self._log.open("a") as log:
            # A session of its own: its process group is the worker, whatever it forks.
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def pid(self) -> int:
        """Of its main process, and so of its process group."""
        return self.process.pid

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def children(self) -> list[int]:
        """The pids of its pool; none if the pool is threads, or the worker has ended."""
        try:
            return sorted(child.pid for child in psutil.Process(self.pid).children())
        except psutil.NoSuchProcess:
            return []

    def kill_child(self, pid: int) -> None:
        """SIGKILL one process of its pool, as the kernel does when memory runs out."""
        _send(os.kill, pid, signal.SIGKILL)

    def send(self, signum: signal.Signals) -> None:
        """Send a signal to the main process only."""
        if not self.ended:
            self.process.send_signal(signum)

    def send_all(self, signum: signal.Signals) -> None:
        """Send a signal to each of its processes."""
        _send(os.killpg, self.pid, signum)


class Workers:
    """All workers of the test."""

    def __init__(self, folder: Path) -> None:
        self._all = [Worker(f"{pool}-{i}", pool, folder) for i, pool in enumerate(POOLS, start=1)]

    def start(self) -> None:
        for worker in self._all:
            worker.start()

    def restart_ended(self) -> None:
        """Replace each worker that has ended."""
        for worker in self._all:
            if worker.ended:
                worker.start()

    def pick(self, die: float, pool: str | None = None) -> Worker:
        """One of the workers, or of those with that pool. `die` is from 0 to 1."""
        able = [worker for worker in self._all if pool in (None, worker.pool)]
        return able[int(die * len(able))]

    def stop(self) -> list[str]:
        """SIGTERM to all; returns the names of those that had to be killed."""
        for worker in self._all:
            worker.send_all(signal.SIGCONT)
            worker.send(signal.SIGTERM)
        late = []
        for worker in self._all:
            try:
                worker.process.wait(ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                late.append(worker.name)
        self.kill()
        return late

    def kill(self) -> None:
        """SIGKILL to every process of every worker."""
        for worker in self._all:
            worker.send_all(signal.SIGKILL)
            worker.process.wait()


def _send(send: Callable[[int, int], None], pid: int, signum: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended already
        send(pid, signum)
