"""A real receiver of webhooks on this machine, which answers as each test says."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

__all__ = [
    "Post",
    "Receiver",
    "closes",
    "drips",
    "garbage",
    "hangs",
    "receiver",
    "says",
]

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Post:
    path: str
    headers: dict[str, str]
    body: bytes


def says(status: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"ok")

    return answer


def closes(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def garbage(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\xff 900 mice\r\n\r\n")
    handler.close_connection = True


@dataclass
class Receiver:
    """`answers` are given in turn, the last one for ever. `released` ends those that hang."""

    url: str = ""
    posts: "Queue[Post]" = field(default_factory=Queue)
    answers: list[Answer] = field(default_factory=lambda: [says(200)])
    released: threading.Event = field(default_factory=threading.Event)

    def all(self) -> list[Post]:
        return [self.posts.get_nowait() for _ in range(self.posts.qsize())]


def hangs(receiver: Receiver) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        receiver.released.wait(30)
        closes(handler)

    return answer


def drips(receiver: Receiver) -> Answer:
    """Sends a header now and then, and never ends."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        with suppress(OSError):
            while not receiver.released.wait(0.05):
                handler.wfile.write(b"x: y\r\n")
        handler.close_connection = True

    return answer


@contextmanager
def receiver() -> Iterator[Receiver]:
    here = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            here.posts.put(Post(self.path, headers, body))
            answer = here.answers.pop(0) if len(here.answers) > 1 else here.answers[0]
            with suppress(OSError):
                answer(self)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    here.url = f"http://127.0.0.1:{server.server_port}/hook?a=b"
    try:
        yield here
    finally:
        here.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
