"""The tests' side of `tests/forkserver.py`, which forks processes for them."""

import contextlib
import json
import os
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

from tests.waiting import PATIENCE

__all__ = ["FORKS", "ForkServer", "ForkServers", "Forked"]

PROGRAM = Path(__file__).with_name("forkserver.py")
KEPT = 3  # servers; each uses 100 MB of memory
FORKS = sys.platform == "linux"
"""Elsewhere a process that has loaded libraries of the system may not go on in a fork."""


class Forked:
    """A process that the server has forked, with the methods of `subprocess.Popen`."""

    def __init__(self, pid: int, stdout: IO[str] | None, ended: "Future[int]", args: Sequence[str]):
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

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class ForkServer:
    """Forks processes until it is closed.

    Args:
        environ: of all that it forks. What Python reads when it starts is not read again.
        parent: forks the server itself. One without a parent has imported what needs no settings;
            one with a parent has imported the project.
        python: the program of one without a parent.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        parent: "ForkServer | None" = None,
        python: str = sys.executable,
    ) -> None:
        self._python = python
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ended: defaultdict[int, Future[int]] = defaultdict(Future)
        self._started: Future[int] = Future()
        self._wait: Callable[[], int]
        with theirs:
            if parent is None:
                self._wait = subprocess.Popen(
                    [python, str(PROGRAM), str(theirs.fileno())],
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

    def run(self, *words: str, **where: Any) -> "Forked | subprocess.Popen[str]":
        """Run `python words` in a new session, with stderr redirected to stdout.

        Args:
            where: `environ` and `cwd`, where they are not the server's own.
        """
        if where and not FORKS:
            return self._popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **where)
        ours, theirs = os.pipe()
        pid = self._fork([theirs, theirs], words=words, **where)
        os.close(theirs)
        return Forked(pid, os.fdopen(ours), self._ended[pid], words)

    def complete(
        self, *words: str, environ: Mapping[str, str], cwd: str, merged: bool = False
    ) -> "subprocess.CompletedProcess[str]":
        """Run `python words` until it ends.

        Args:
            merged: redirect stderr to stdout.
        """
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            files = [out.fileno(), (out if merged else err).fileno()]
            started: Forked | subprocess.Popen[str]
            if FORKS:
                pid = self._fork(files, words=words, environ=dict(environ), cwd=cwd)
                started = Forked(pid, None, self._ended[pid], words)
            else:
                started = self._popen(words, environ, cwd, stdout=files[0], stderr=files[1])
            try:
                code = started.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                started.kill()
                raise
            for file in (out, err):
                file.seek(0)
            return subprocess.CompletedProcess(words, code, out.read(), err.read())

    def _popen(
        self, words: Sequence[str], environ: Mapping[str, str], cwd: str, **output: Any
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [self._python, *words],
            env={**environ, "PYTHONUNBUFFERED": "1"},
            cwd=cwd,
            start_new_session=True,
            text=True,
            **output,
        )

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
