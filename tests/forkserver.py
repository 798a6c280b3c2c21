"""A process that has imported the project. It forks a process for each command it receives.

A worker takes 3 s of CPU time, nearly all of it to import modules and to take them down at its end.
Forked, it takes 0.5 s.

The module is both sides: the tests hold a `ForkServer`, which runs `python -m tests.forkserver`.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import IO

__all__ = ["ForkServer", "ForkServers", "Forked"]

KEPT = 3  # servers; each uses 100 MB of memory
LOADED = (
    *("mainproj.celery", "mainproj.urls", "celery.__main__", "celery.bin.celery"),
    *("celery.app.amqp", "celery.app.control", "celery.app.log", "celery.apps.worker"),
    *("celery.concurrency.prefork", "celery.concurrency.thread", "celery.concurrency.solo"),
    *("celery.worker.autoscale", "celery.worker.components", "celery.worker.consumer"),
    *("celery.worker.pidbox", "celery.worker.strategy", "billiard.popen_fork"),
    *("django_celery_results.backends", "kombu.pidbox", "kombu.transport.redis"),
)


class Forked:
    """A process that the server has forked, with the methods of `subprocess.Popen`."""

    def __init__(self, pid: int, stdout: IO[str], ended: "Future[int]", args: Sequence[str]):
        self.pid, self.stdout, self.args = pid, stdout, args
        self._ended = ended

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        return self._ended.result() if self._ended.done() else None

    def wait(self, timeout: float | None = None) -> int:
        try:
            return self._ended.result(timeout)
        except NotYet:
            raise subprocess.TimeoutExpired(self.args, timeout or 0) from None

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """Forks processes that have this environment, until it is closed."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.forkserver", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command,
                env=environ,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._started: Future[int] = Future()
        self._ended: defaultdict[int, Future[int]] = defaultdict(Future)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        while message := self._channel.recv(1024):
            what, pid, code = json.loads(message)
            if what == "started":
                self._started.set_result(pid)
            else:
                self._ended[pid].set_result(code)
        if not self._started.done():
            self._started.set_exception(AssertionError("the fork server has ended"))
        self._channel.close()
        self._process.wait()

    def run(self, module: str, *args: str) -> Forked:
        """Run `python -m module args` in a new session, with stderr redirected to stdout."""
        self._started = Future()
        ours, theirs = os.pipe()
        command = [module, *args]
        socket.send_fds(self._channel, [json.dumps(command).encode()], [theirs])
        os.close(theirs)
        pid = self._started.result(timeout=60)
        return Forked(pid, os.fdopen(ours), self._ended[pid], command)

    def close(self) -> None:
        """Stop forking. The server ends when all its forked processes have ended."""
        self._channel.shutdown(socket.SHUT_WR)

    def wait(self) -> None:
        """Wait for its end."""
        self._listener.join()


class ForkServers:
    """Servers for the most recently used environments."""

    def __init__(self) -> None:
        self._open: dict[frozenset[tuple[str, str]], ForkServer] = {}
        self._closed: list[ForkServer] = []

    def of(self, environ: Mapping[str, str]) -> ForkServer:
        key = frozenset((k, v) for k, v in environ.items() if k != "PYTEST_CURRENT_TEST")
        server = self._open.pop(key, None) or ForkServer(environ)
        self._open[key] = server
        if len(self._open) > KEPT:
            self._close(next(iter(self._open)))
        return server

    def _close(self, key: frozenset[tuple[str, str]]) -> None:
        server = self._open.pop(key)
        server.close()
        self._closed.append(server)

    def close(self) -> None:
        """Close all servers, and wait until they have ended."""
        for key in list(self._open):
            self._close(key)
        for server in self._closed:
            server.wait()


def load() -> None:
    """Import what a worker imports."""
    import django
    from django.core.checks import run_checks

    django.setup()
    for module in LOADED:
        importlib.import_module(module)
    from mainproj.celery import app

    app.loader.import_default_modules()
    app.finalize()
    run_checks()  # each worker does, and what they import is not imported then
    assert threading.active_count() == 1, "a forked process would lack the other threads"
    # The garbage collector ignores what is loaded so far. This saves 0.6 s at a process's exit.
    gc.collect()
    gc.freeze()


def serve(channel: socket.socket) -> list[str]:
    """Fork for each message. Returns only in a forked process, with its command."""

    def reap(*_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                tell("ended", pid, os.waitstatus_to_exitcode(status))

    def tell(what: str, pid: int, code: int = 0) -> None:
        with contextlib.suppress(BrokenPipeError):
            channel.send(json.dumps([what, pid, code]).encode())

    signal.signal(signal.SIGCHLD, reap)
    while True:
        message, fds, _, _ = socket.recv_fds(channel, 1 << 16, 1)
        if not message:
            break
        if not (pid := os.fork()):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            channel.close()
            for stream in (1, 2):
                os.dup2(fds[0], stream)
            os.close(fds[0])
            command: list[str] = json.loads(message)
            return command
        os.close(fds[0])
        tell("started", pid)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.wait()
            tell("ended", pid, os.waitstatus_to_exitcode(status))
    sys.exit()


if __name__ == "__main__":
    load()
    module, *sys.argv[1:] = serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module(module, run_name="__main__", alter_sys=True)
