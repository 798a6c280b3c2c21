"""Real Celery workers as subprocesses, on the tests' database and broker."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, Queue
from urllib.parse import quote

from django.db import connection

from tests.forking import FORKS, Forked, ForkServers
from tests.waiting import PATIENCE

__all__ = ["Worker", "begin", "database_url", "fork_servers"]

READY_WITHIN, STOPS_WITHIN = 60, 30  # seconds
# The first is read when a program is loaded. The second starts threads, which a fork loses.
NOT_FORKED = {"LD_PRELOAD", "OTEL_EXPORTER_OTLP_ENDPOINT"}

fork_servers = ForkServers()


def database_url() -> str:
    """The URL of the database that this test runs on."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    password = f":{quote(values['PASSWORD'])}" if values["PASSWORD"] else ""
    return (
        f"postgres://{values['USER']}{password}@{values['HOST']}:{values['PORT']}/{values['NAME']}"
    )


def begin(environ: Mapping[str, str], *words: str) -> "subprocess.Popen[str] | Forked":
    """Run `python words` in a new session, with stderr redirected to stdout."""
    if FORKS and not NOT_FORKED & environ.keys():
        return fork_servers.of(environ).run(*words)
    return subprocess.Popen(
        [sys.executable, *words],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


class Worker:
    """A `celery worker` process."""

    def __init__(self, broker_url: str, log: Path, *args: str, **environ: str) -> None:
        self.log = log
        self._args = ["celery", "-A", "mainproj", "--skip-checks", "worker", "-l", "INFO"]
        self._args += ["--without-mingle", "--without-gossip", *args]
        self.environ = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": database_url(),
            "REDIS_URL": broker_url,
            **environ,
        }
        self._lines: Queue[str] = Queue()

    def start(self) -> "Worker":
        """Start it, and wait until it logs that it is ready."""
        self.process = begin(self.environ, "-m", *self._args)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._stopping = False
        self.wait_for(" ready.", READY_WITHIN)
        return self

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.log.open("a") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                self._lines.put(line)
        self._lines.put("(the worker has ended)")

    def wait_for(self, text: str, timeout: float = PATIENCE) -> str:
        """Return the next line of its log that contains `text`."""
        while True:
            try:
                line = self._lines.get(timeout=timeout)
            except Empty:
                raise AssertionError(f"no {text!r} in the log: {self.log.read_text()}") from None
            if text in line:
                return line
            assert "(the worker has ended)" not in line, self.log.read_text()

    def kill(self) -> None:
        """Send SIGKILL to all processes of the worker."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self._gone()

    def ask_to_stop(self) -> None:
        """Send one SIGTERM, as a deployment does. A second one would end its children at once."""
        if self.process.poll() is None and not self._stopping:
            self._stopping = True
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Stop it with SIGTERM and wait. Send SIGKILL if it does not end in time."""
        self.ask_to_stop()
        if self.process.poll() is None:
            try:
                self.process.wait(STOPS_WITHIN)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        self._gone()

    def _gone(self) -> None:
        self.process.wait()
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()
