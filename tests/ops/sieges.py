"""Attacks by many hostile clients at once, on real sockets."""

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import cycle

__all__ = ["ATTACKS", "Siege"]

HOST = b"Host: localhost\r\n"
LARGE_FILE = b"/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
MANY = 12
"""More than the server has threads."""
GONE = select.POLLHUP | select.POLLERR | select.POLLRDHUP | select.POLLNVAL


class Siege:
    """Connections that are kept busy until they are closed.

    Args:
        hello: what each sends first; `{token}` is a user's.
        drip: what it sends then, a piece now and then, again and again.
        many: how many there are.
        shut: whether each says that it will send no more.
        reads: whether each takes what is answered.
        urgent: whether each sends urgent data as well.
    """

    def __init__(
        self,
        hello: bytes,
        *,
        drip: tuple[bytes, ...] = (),
        many: int = MANY,
        shut: bool = False,
        reads: bool = True,
        urgent: bool = False,
    ) -> None:
        self._hello, self._drip, self._many = hello, drip, many
        self._shut, self._reads, self._urgent = shut, reads, urgent
        self._sockets: list[socket.socket] = []
        self._over = threading.Event()

    def begin(self, port: int, token: str) -> None:
        """Connect, and go on in a thread."""
        for _ in range(self._many):
            client = socket.socket()
            if not self._reads:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect(("127.0.0.1", port))
            client.setblocking(False)
            self._sockets.append(client)
            with suppress(OSError):
                client.send(self._hello.replace(b"{token}", token.encode()))
                if self._urgent:
                    client.send(b"!", socket.MSG_OOB)
                if self._shut:
                    client.shutdown(socket.SHUT_WR)
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def _go_on(self) -> None:
        pieces: Iterator[bytes] = cycle(self._drip or (b"",))
        while not self._over.wait(0.1):
            piece = next(pieces)
            for client in self._sockets:
                with suppress(OSError):
                    if piece:
                        client.send(piece)
                    if self._reads:
                        client.recv(65536)

    def closed(self, within: float) -> bool:
        """Whether the server closes all of them in time."""
        waiting = select.poll()
        open_ones = {each.fileno() for each in self._sockets}
        for fileno in open_ones:
            waiting.register(fileno, select.POLLRDHUP)
        deadline = time.monotonic() + within
        while open_ones and (left := deadline - time.monotonic()) > 0:
            for fileno, flags in waiting.poll(1000 * left):
                if flags & GONE:
                    waiting.unregister(fileno)
                    open_ones.discard(fileno)
        return not open_ones

    def end(self) -> None:
        """Leave."""
        self._over.set()
        self._thread.join()
        for client in self._sockets:
            client.close()


def post(*headers: bytes) -> bytes:
    return b"\r\n".join(
        [b"POST /workflows/noops/ HTTP/1.1", HOST + b"\r\n".join(headers), b"", b""]
    )


JSON = b"Content-Type: application/json"
TOKEN = b"Authorization: Token {token}"
FILES = b"Content-Type: multipart/form-data; boundary=b"

ATTACKS: dict[str, Callable[[], Siege]] = {
    "nothing is sent": lambda: Siege(b"", many=200),
    "a request line never ends": lambda: Siege(b"GET /", drip=(b"a",)),
    "headers never end": lambda: Siege(b"GET / HTTP/1.1\r\n" + HOST, drip=(b"X-", b"a: b\r\n")),
    "blank lines never end": lambda: Siege(b"\r\n", drip=(b"\r\n", b"\r")),
    "a huge body stops after a byte": lambda: Siege(
        post(JSON, b"Content-Length: 300000000") + b"{"
    ),
    "a huge body of a user stops after a byte": lambda: Siege(
        post(JSON, TOKEN, b"Content-Length: 300000000") + b"{", drip=(b" ",)
    ),
    "a body trickles": lambda: Siege(post(JSON, b"Content-Length: 2000") + b"{", drip=(b" ",)),
    "a user's body trickles": lambda: Siege(
        post(JSON, TOKEN, b"Content-Length: 2000") + b"{", drip=(b" ",)
    ),
    "an upload trickles": lambda: Siege(
        post(FILES, TOKEN, b"Content-Length: 90000000") + b"--b\r\n", drip=(b"x",)
    ),
    "a body for the health page": lambda: Siege(
        b"POST /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\n", drip=(b"x",)
    ),
    "chunks never end": lambda: Siege(
        post(JSON, b"Transfer-Encoding: chunked"), drip=(b"1\r\n", b" \r\n")
    ),
    "chunks of a user never end": lambda: Siege(
        post(JSON, TOKEN, b"Transfer-Encoding: chunked"), drip=(b"1\r\n", b" \r\n")
    ),
    "leave to send is asked for and not used": lambda: Siege(
        post(JSON, b"Content-Length: 10", b"Expect: 100-continue")
    ),
    "an answer is not read": lambda: Siege(
        b"GET " + LARGE_FILE + b" HTTP/1.1\r\n" + HOST + b"\r\n", reads=False
    ),
    "many answers are not read": lambda: Siege(
        (b"GET " + LARGE_FILE + b" HTTP/1.1\r\n" + HOST + b"\r\n") * 100, reads=False
    ),
    "junk follows a request": lambda: Siege(
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n" + b"\x00\xff junk\r\n\r\n" * 50
    ),
    "junk instead of a request": lambda: Siege(
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"
    ),
    "a length of thousands of digits": lambda: Siege(
        post(JSON, b"Content-Length: " + b"9" * 5000), drip=(b" ",)
    ),
    "half closed in the headers": lambda: Siege(b"GET / HTTP/1.1\r\n" + HOST, shut=True),
    "half closed in a body": lambda: Siege(post(JSON, b"Content-Length: 100") + b"{", shut=True),
    "half closed after a request": lambda: Siege(
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n", shut=True
    ),
    "urgent data": lambda: Siege(b"GET / HTTP/1.1\r\n" + HOST, urgent=True),
    "a kept connection is left": lambda: Siege(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"),
}
