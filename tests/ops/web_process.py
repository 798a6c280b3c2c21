"""`manage.py web` with one process and few threads, as a context."""

import json
import os
import subprocess
import sys
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.services import free_port
from tests.waiting import until
from tests.workers import database_url

__all__ = ["WebProcess"]

ROOT = Path(__file__).resolve().parents[2]


class WebProcess:
    """It serves the tests' database, or that of `DATABASE_URL`, when the context is entered."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.port, self.token = free_port(), ""
        self.log = folder / "web.log"
        self._environ = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": database_url(),
            "DATA_DIR": str(folder),
            "ACCESS_LOG": "off",
            "WEB_PROCESSES": "1",
            "WEB_THREADS": "4",
            "WEB_PORT": str(self.port),
            **environ,
        }

    def __enter__(self) -> "WebProcess":
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "web"], cwd=ROOT, env=self._environ, stderr=log
            )
        until("the server", lambda: "Booting worker" in self.log.read_text())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)

    def get(self, path: str, timeout: float) -> int:
        """The status of an answer that has to come in time."""
        return self.ask("GET", path, timeout)[0]

    def ask(
        self, method: str, path: str, timeout: float, body: Any = None, *, bearer: str = ""
    ) -> tuple[int, Any]:
        """The status and the JSON of an answer that has to come in time."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        known = f"Bearer {bearer}" if bearer else f"Token {self.token}"
        headers = {"Authorization": known, "Content-Type": "application/json"}
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, headers | {"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, _content(answer)
        finally:
            connection.close()


def _content(answer: HTTPResponse) -> Any:
    body = answer.read()
    return json.loads(body) if "json" in (answer.headers["Content-Type"] or "") else body
