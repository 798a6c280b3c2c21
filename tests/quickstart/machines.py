"""A real `manage.py up`, as a process of its own, for the tests to talk to and to stop."""

import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from http.cookiejar import CookieJar
from pathlib import Path
from time import monotonic
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

import psutil
from django.conf import settings

from tests.services import free_port
from tests.waiting import PATIENCE
from tests.workers import fork_servers

__all__ = ["Machine", "environment", "run_up"]


def environment(**changes: str) -> dict[str, str]:
    """This process's environment, with none of the variables that `up` reads but these."""
    read = ("DATABASE_URL", "REDIS_URL", "DATA_DIR", "SECRET_KEY")
    kept = {name: value for name, value in os.environ.items() if name not in read}
    return kept | {"DJANGO_SETTINGS_MODULE": "mainproj.settings"} | changes


def words(*options: str) -> list[str]:
    """What follows `python` on the command line."""
    return [str(settings.BASE_DIR / "manage.py"), "up", *options]


def run_up(*options: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """An `up` that is expected to end by itself."""
    return fork_servers.without_settings.complete(
        *words(*options), environ=environment(**changes), cwd=str(settings.BASE_DIR)
    )


class Machine:
    """A running `up`. Its lines are kept in `lines`."""

    def __init__(self, data_dir: Path, *options: str, **changes: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.lines: list[str] = []
        self._unread: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            [
                sys.executable,
                *words("--data-dir", str(data_dir), "--port", str(self.port), *options),
            ],
            env=environment(**changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            umask=0,  # what is private must not be so by the user's own
        )
        assert self.process.stdout
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,))
        self._reader.start()

    def _read(self, output: IO[str]) -> None:
        with output:
            for line in output:
                self._unread.put(line.rstrip("\n"))
        self._unread.put(None)

    def wait_for_line(self, text: str, seconds: float = PATIENCE) -> str:
        """The next line that has `text` in it."""
        deadline = monotonic() + seconds
        with suppress(queue.Empty):
            while (line := self._unread.get(timeout=max(0.0, deadline - monotonic()))) is not None:
                self.lines.append(line)
                if text in line:
                    return line
        raise AssertionError(f"no {text!r} in:\n" + "\n".join(self.lines))

    def wait_until_ready(self) -> "Machine":
        self.login_link = self.wait_for_line("ready: ").removeprefix("ready: ")
        self.curl = shlex.split(self.wait_for_line("curl "))
        return self

    def family(self) -> list[psutil.Process]:
        """`up` and all that descends from it."""
        leader = psutil.Process(self.process.pid)
        return [leader, *leader.children(recursive=True)]

    def leader_of(self, words: str) -> psutil.Process:
        """The process right below `up` whose command line has these words in it."""
        below = psutil.Process(self.process.pid).children()
        (found,) = [each for each in below if words in " ".join(each.cmdline())]
        return found

    def browser(self) -> OpenerDirector:
        """Follows redirects and keeps cookies."""
        return build_opener(HTTPCookieProcessor(CookieJar()))

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Ask with the token that the ready-to-paste `curl` carries."""
        name, token = self.curl[self.curl.index("-H") + 1].split(": ")
        url = urlsplit(self.curl[-1])
        request = Request(
            f"{url.scheme}://{url.netloc}{path}",
            method=method,
            headers={name: token, "Content-Type": "application/json"},
            data=json.dumps(body).encode() if body is not None else None,
        )
        with build_opener().open(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def upload(self, path: str, field: str, name: str, content: bytes) -> Any:
        """Send one file, with the same token."""
        header, token = self.curl[self.curl.index("-H") + 1].split(": ")
        head = (
            f'--edge\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
        )
        request = Request(
            f"http://127.0.0.1:{self.port}{path}",
            method="POST",
            headers={header: token, "Content-Type": "multipart/form-data; boundary=edge"},
            data=head.encode() + content + b"\r\n--edge--\r\n",
        )
        with build_opener().open(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Signal `up`; its exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(timeout=20)
        finally:
            self._reader.join(timeout=5)

    def destroy(self) -> None:
        """Leave nothing, whatever the test did or found."""
        if self.process.poll() is None:
            family = self.family()
            for each in reversed(family):
                each.kill()
            self.process.wait(timeout=10)
        self._reader.join(timeout=10)
