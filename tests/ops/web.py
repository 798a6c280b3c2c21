"""The web service as a process, on the tests' own database and broker."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

from tests.services import free_port
from tests.workers import begin, database_url

__all__ = ["Web", "web_server"]


class Web:
    """Where it listens, and a caller."""

    def __init__(self, port: int, token: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}

    def get(self, path: str) -> str:
        with urlopen(Request(self.url + path, headers=self._headers), timeout=30) as answer:
            return str(answer.read().decode())

    def post(self, path: str, body: Mapping[str, Any], **headers: str) -> Any:
        request = Request(
            self.url + path, json.dumps(body).encode(), self._headers | headers, method="POST"
        )
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)


@contextmanager
def web_server(
    broker_url: str, token: str, *, module: str = "mainproj.wsgi", **environ: str
) -> Iterator[Web]:
    """Run gunicorn with two processes until the block ends.

    Args:
        module: has the application.
    """
    port = free_port()
    command = ["-m", "gunicorn", f"{module}:application"]
    command += ["--bind", f"127.0.0.1:{port}", "--workers", "2", "--no-control-socket"]
    variables = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": database_url(),
        "REDIS_URL": broker_url,
        "ACCESS_LOG": "off",
        **environ,
    }
    process = begin(variables, *command)
    assert process.stdout is not None
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if sum("Booting worker" in each for each in said) == 2:
                break
        else:
            raise AssertionError("".join(said))
        yield Web(port, token)
    finally:
        process.terminate()
        # A process of it that just begins does not hear the signal, and is killed 30 s later.
        process.wait(timeout=60)
        process.stdout.close()
