"""The web process, and a client that polls it as pages do."""

import http.client
import random
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token

from bench.figure import NotMeasured
from quickstart import probes, programs
from tests.services import free_port
from tests.waiting import until

__all__ = ["Poller", "serving"]

EVERY = 0.05  # seconds
TIMEOUT = 10.0
HOST = "127.0.0.1"


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, int]]:
    """The web process as `make up` starts it; yields its pid and port."""
    port = free_port()
    with (folder / "web.log").open("w") as log:
        program = programs.web(port, {})
        process = subprocess.Popen(program.command, stdout=log, stderr=log)
        try:
            until("the web process", lambda: answers(process, port), timeout=60)
            yield process.pid, port
        finally:
            process.terminate()
            process.wait()


def answers(process: "subprocess.Popen[bytes]", port: int) -> bool:
    if process.poll() is not None:
        raise NotMeasured(f"the web process ended with {process.returncode}")
    return probes.web(port) is None


def _get(port: int, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


class Poller(threading.Thread):
    """A context that polls runs by turns: one, then twenty together.

    `runs` may grow meanwhile. `seconds` has the time of each answer, `bad` the failed requests.
    """

    def __init__(self, port: int, owner: User, runs: Sequence[str]) -> None:
        super().__init__(name="poller", daemon=True)
        self.seconds: list[float] = []
        self.bad: list[str] = []
        self._port, self._runs = port, runs
        self._token = str(Token.objects.get_or_create(user=owner)[0])
        self._stopping = threading.Event()

    def run(self) -> None:
        turn = 0
        while not self._stopping.wait(EVERY):
            turn += 1
            few = random.sample(self._runs, min(20, len(self._runs)))
            if not few:
                continue
            path = f"/tasks/?ids={','.join(few)}" if turn % 2 else f"/tasks/{few[0]}/"
            began = time.perf_counter()
            try:
                status = _get(self._port, path, Authorization=f"Token {self._token}")
            except OSError as exc:
                self.bad.append(f"{path}: {exc!r}")
                continue
            self.seconds.append(time.perf_counter() - began)
            if status != http.HTTPStatus.OK:
                self.bad.append(f"{path}: {status}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join()
