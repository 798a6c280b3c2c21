"""A load generator: clients that send the next request after each answer, on own connections."""

import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from threading import Thread
from typing import NamedTuple

__all__ = ["Load", "Target"]

END_OF_HEAD = b"\r\n\r\n"


@dataclass
class Target:
    """A URL to request; with `tagged` by a client that sends the last `ETag`."""

    path: str
    tagged: bool = False
    tag: bytes = b""


@dataclass
class Load:
    """The results of some clients of a server on this machine.

    Args:
        port: where it listens.
        cookie: their `Cookie` header.
        failures: why clients stopped early.
        latencies: the seconds of each answer.
        statuses: the number of answers by status.
    """

    port: int
    cookie: str
    failures: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    def run(
        self, targets: Sequence[Target], *, clients: int, seconds: float, each: bool = False
    ) -> None:
        """Request all targets in turn, with so many clients, for so many seconds.

        Args:
            each: go on until each target was requested.
        """
        began = time.perf_counter()
        shares = [targets[number::clients] for number in range(clients)]
        threads = [Thread(target=self._client, args=(s, began + seconds, each)) for s in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.seconds += time.perf_counter() - began

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    def _client(self, targets: Sequence[Target], deadline: float, each: bool) -> None:
        try:
            self._ask(targets, deadline, len(targets) if each else 0)
        except (OSError, ValueError) as exc:
            self.failures.append(str(exc) or type(exc).__name__)

    def _ask(self, targets: Sequence[Target], deadline: float, least: int) -> None:
        with ExitStack() as stack:
            connection = stack.enter_context(self._connected())
            for number, target in enumerate(cycle(targets)):
                asked = time.perf_counter()
                if asked > deadline and number >= least:
                    return
                connection.sendall(self._request(target))
                answer = read_answer(connection)
                self.latencies.append(time.perf_counter() - asked)
                self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
                target.tag = answer.tag if target.tagged else b""
                if answer.last:
                    stack.close()
                    connection = stack.enter_context(self._connected())

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _request(self, target: Target) -> bytes:
        lines = [f"GET {target.path} HTTP/1.1", "Host: localhost", f"Cookie: {self.cookie}"]
        lines += [f"If-None-Match: {target.tag.decode()}"] * bool(target.tag)
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Answer(NamedTuple):
    """The status of one answer, its `ETag`, and whether it closes the connection."""

    status: int
    tag: bytes
    last: bool


def read_answer(connection: socket.socket) -> Answer:
    data = b""
    while END_OF_HEAD not in data:
        data += received(connection)
    head, _, body = data.partition(END_OF_HEAD)
    status, headers = int(head.split(b" ", 2)[1]), {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b": ")
        headers[name.lower()] = value
    left = int(headers.get(b"content-length", 0)) - len(body) if status != 304 else 0
    while left > 0:
        left -= len(received(connection))
    last = headers.get(b"connection", b"").lower() == b"close"
    return Answer(status, headers.get(b"etag", b""), last)


def received(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the server closed the connection")
    return data
