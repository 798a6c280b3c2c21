"""A process that has imported the project. It forks a process for each command it receives.

A worker takes 3 s of CPU time, nearly all of it to import modules and to take them down at its end.
Forked, it takes 0.1 s. The settings come from the environment, so each environment has a process of
its own, forked from one that has imported what needs no settings. That one also forks programs
whose start is tested, each with an environment of its own.

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
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import IO, Any

__all__ = ["ForkServer", "ForkServers", "Forked"]

KEPT = 3  # servers; each uses 100 MB of memory
LIBRARIES = (
    *("celery.__main__", "celery.bin.celery"),
    *("celery.app.amqp", "celery.app.control", "celery.app.log", "celery.apps.worker"),
    *("celery.concurrency.prefork", "celery.concurrency.thread", "celery.concurrency.solo"),
    *("celery.worker.autoscale", "celery.worker.components", "celery.worker.consumer"),
    *("celery.worker.pidbox", "celery.worker.strategy", "billiard.popen_fork"),
    *("kombu.pidbox", "kombu.transport.redis", "django.contrib.admin.options"),
    *("django.contrib.postgres.fields", "django.core.management", "django.test"),
    *("jsonschema", "PIL.Image", "rest_framework.fields", "rich.live", "structlog"),
)
"""What a worker imports and needs no settings."""

OURS = ("mainproj.celery", "mainproj.urls", "django_celery_results.backends")


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
    """Forks processes until it is closed.

    Args:
        environ: of all that it forks. What Python reads when it starts is not read again.
        parent: forks the server itself. One without a parent has imported what needs no settings;
            one with a parent has imported the project.
    """

    def __init__(self, environ: Mapping[str, str], parent: "ForkServer | None" = None) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ended: defaultdict[int, Future[int]] = defaultdict(Future)
        self._started: Future[int] = Future()
        self._wait: Callable[[], int]
        with theirs:
            if parent is None:
                self._wait = subprocess.Popen(
                    [sys.executable, "-m", "tests.forkserver", str(theirs.fileno())],
                    env={k: v for k, v in environ.items() if k != "DJANGO_SETTINGS_MODULE"},
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                ).wait
            else:
                pid = parent._fork([theirs.fileno()], environ=dict(environ))
                self._wait = parent._ended[pid].result
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
        self._wait()

    def _fork(self, fds: Sequence[int], **what: Any) -> int:
        """Fork a process that gets these files; its id."""
        self._started = Future()
        socket.send_fds(self._channel, [json.dumps(what).encode()], fds)
        return self._started.result(timeout=60)

    def run(self, module: str, *args: str) -> Forked:
        """Run `python -m module args` in a new session, with stderr redirected to stdout."""
        ours, theirs = os.pipe()
        words = ["-m", module, *args]
        pid = self._fork([theirs, theirs], words=words)
        os.close(theirs)
        return Forked(pid, os.fdopen(ours), self._ended[pid], words)

    def complete(
        self, *words: str, environ: Mapping[str, str], cwd: Path
    ) -> "subprocess.CompletedProcess[str]":
        """Run `python words` in an environment of its own, and wait for its end."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            files = [out.fileno(), err.fileno()]
            pid = self._fork(files, words=words, environ=dict(environ), cwd=str(cwd))
            code = self._ended[pid].result(timeout=60)
            for file in (out, err):
                file.seek(0)
            return subprocess.CompletedProcess(words, code, out.read(), err.read())

    def close(self) -> None:
        """Stop forking. The server ends when all its forked processes have ended."""
        self._channel.shutdown(socket.SHUT_WR)

    def wait(self) -> None:
        """Wait for its end."""
        self._listener.join()


class ForkServers:
    """Servers for the most recently used environments."""

    def __init__(self) -> None:
        self._parent: ForkServer | None = None
        self._open: dict[frozenset[tuple[str, str]], ForkServer] = {}
        self._closed: list[ForkServer] = []

    @property
    def without_settings(self) -> ForkServer:
        """The one that has imported what needs no settings."""
        self._parent = self._parent or ForkServer(os.environ)
        return self._parent

    def of(self, environ: Mapping[str, str]) -> ForkServer:
        key = frozenset((k, v) for k, v in environ.items() if k != "PYTEST_CURRENT_TEST")
        server = self._open.pop(key, None) or ForkServer(environ, self.without_settings)
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
        if self._parent is not None:
            self._parent.close()
            self._parent.wait()


def load_libraries() -> None:
    for module in LIBRARIES:
        importlib.import_module(module)
    keep()


def load() -> None:
    """Import what a worker imports."""
    import django

    django.setup()
    for module in OURS:
        importlib.import_module(module)
    from mainproj.celery import app

    # This runs the checks as well, as each worker does, which then imports nothing for them.
    app.loader.import_default_modules()
    app.finalize()
    keep()


def keep() -> None:
    """Make ready to fork with all that is loaded."""
    assert threading.active_count() == 1, "a forked process would lack the other threads"
    # The garbage collector ignores what is loaded so far. This saves 0.6 s at a process's exit.
    gc.collect()
    gc.freeze()


def serve(channel: socket.socket) -> list[str]:
    """Fork for each message: a process for a command line, or a server for an environment.

    Returns only in a forked process, with its words after `python`.
    """

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
        message, fds, _, _ = socket.recv_fds(channel, 1 << 16, 2)
        if not message:
            break
        if not (pid := os.fork()):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            channel.close()
            what = json.loads(message)
            if "environ" in what:
                os.environ.clear()
                os.environ.update(what["environ"])
            if "words" not in what:
                load()
                return serve(socket.socket(fileno=fds[0]))
            for stream, fd in enumerate(fds, start=1):
                os.dup2(fd, stream)
                os.close(fd)
            os.chdir(what.get("cwd", "."))
            words: list[str] = what["words"]
            return words
        for fd in fds:
            os.close(fd)
        tell("started", pid)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.wait()
            tell("ended", pid, os.waitstatus_to_exitcode(status))
    sys.exit()


if __name__ == "__main__":
    load_libraries()
    first, *rest = serve(socket.socket(fileno=int(sys.argv[1])))
    sys.argv = [first, *rest]
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        exec(rest[0], {"__name__": "__main__"})
    else:
        runpy.run_path(first, run_name="__main__")
