"""A small HTTP service that takes samples, and is busy now and then.

`python -m examples.submission.service 8100`
"""

import json
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

__all__ = ["Service"]

BUSY_EVERY = 3
"""Each third batch is refused at its first try."""
QUEUED = "QQ"
"""Batches whose first sample begins so are accepted, and not yet processed."""


class Service(ThreadingHTTPServer):
    """Accepts batches: `POST /samples` with `{"batch": "...", "rows": [...]}`.

    It answers 503 to the first try of each third batch, and 200 with `READY` or `SUBMITTED` to the
    others. A batch that comes twice is stored once, by its name.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.stored: dict[str, list[Any]] = {}
        self.tries: Counter[str] = Counter()
        self.lock = Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/samples"

    def take(self, batch: str, rows: list[Any]) -> tuple[int, dict[str, str]]:
        with self.lock:
            self.tries[batch] += 1
            place = list(self.tries).index(batch) + 1
            if place % BUSY_EVERY == 0 and self.tries[batch] == 1:
                return 503, {"detail": "busy, try again"}
            self.stored[batch] = rows
        is_queued = rows[0]["sample"].startswith(QUEUED)
        return 200, {"state": "READY" if is_queued else "SUBMITTED"}


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = self.server.take(given["batch"], given["rows"])
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the run tells what has happened."""


if __name__ == "__main__":
    Service(int(sys.argv[1])).serve_forever()
