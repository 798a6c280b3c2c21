"""A small HTTP service that knows browsers, and does not answer now and then.

`python -m examples.questionnaire.service 8101`
"""

import json
import re
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["Service"]

KNOWN = re.compile(r"(Firefox|Chrome|Safari)/(\d+)")


class Service(ThreadingHTTPServer):
    """Describes browsers: `GET /browsers?user_agent=...`.

    It answers 503 to the first `busy` tries of each browser, then 200 with `name`, `version` and
    `mobile`, and 404 to what it does not know.
    """

    def __init__(self, port: int = 0, *, busy: int = 2) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.busy = busy
        self.tries: Counter[str] = Counter()
        self.lock = Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/browsers"

    def describe(self, user_agent: str) -> tuple[int, dict[str, Any]]:
        with self.lock:
            self.tries[user_agent] += 1
            if self.tries[user_agent] <= self.busy:
                return 503, {"detail": "busy, try again"}
        found = KNOWN.search(user_agent)
        if found is None:
            return 404, {"detail": "no such browser"}
        name, version = found.groups()
        return 200, {"name": name, "version": int(version), "mobile": "Mobile" in user_agent}


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        status, answer = self.server.describe(query.get("user_agent", [""])[0])
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
