"""One client's connection: waitress's channel, with deadlines and limits of ours."""

import errno
import socket
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from io import BytesIO
from typing import Any, Protocol

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask, Task, WSGITask

from monitor.http.body_size import largest
from roles.http.limits import Limits, Phase

__all__ = ["Connection", "Request"]

ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time


class Accepting(Protocol):
    """What a connection asks of the server that has accepted it."""

    limits: Limits
    stopping: bool

    def is_secure(self, peer: str, headers: Mapping[str, str]) -> bool:
        """Whether the client used https, according to a trusted proxy."""


class Request(HTTPRequestParser):
    """A request while it is received. A body that the application would reject is not read."""

    refused = False
    _full: OSError | None = None

    def __init__(self, adj: Adjustments, keep: Callable[[bytes], None]) -> None:
        super().__init__(adj)
        self._keep = keep

    def received(self, data: bytes) -> int:
        """Take what belongs to this request, keep the rest; returns how many bytes that was."""
        consumed = self._take(data)
        if consumed < len(data) and self.completed:
            self._keep(data[consumed:])
            return len(data)
        return consumed

    def _take(self, data: bytes) -> int:
        try:
            consumed: int = super().received(data)
        except OSError as exc:
            # The disk for large bodies is full. The application answers with its own error.
            self._full = exc
            return self._refuse(data)
        if self.headers_finished and not self.error and not self.takes_body():
            return self._refuse(data)
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the headers. waitress accepts a chunked body; here the application decides."""
        try:
            super().parse_header(header_plus)
        except ValueError as exc:  # a length of thousands of digits, an invalid address
            raise ParsingError("Header values are invalid") from exc
        if self.chunked:
            self.headers["TRANSFER_ENCODING"] = "chunked"

    def takes_body(self) -> bool:
        """Whether the application would accept the body that these headers announce, if any."""
        known = "TRANSFER_ENCODING" not in self.headers
        return known and self.content_length <= largest(self.headers.get("CONTENT_TYPE", ""))

    def get_body_stream(self) -> Any:
        """The body that the application reads."""
        if self._full:
            return Unreadable(self._full)
        return BytesIO() if self.refused else super().get_body_stream()

    def _refuse(self, data: bytes) -> int:
        self.refused = self.completed = True
        self.expect_continue = False
        self.headers["CONNECTION"] = "close"  # what follows is not a request
        return len(data)


class Unreadable(BytesIO):
    """A body that could not be stored."""

    def __init__(self, reason: OSError) -> None:
        super().__init__()
        self._reason = reason

    def read(self, _size: int | None = -1, /) -> bytes:
        raise OSError(self._reason.errno or errno.EIO, self._reason.strerror)

    readline = read


class Closing(Task):
    """An answer that closes its connection when the server is stopping."""

    channel: "Connection"

    def set_close_on_finish(self) -> None:
        """Do not close after every answer without a body, as waitress 3.0.2 does: a 304 is one."""
        wanted = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or self.version != "1.1" or wanted or self.channel.server.stopping:
            super().set_close_on_finish()

    def build_response_header(self) -> bytes:
        if self.channel.server.stopping:
            self.set_close_on_finish()
        header: bytes = super().build_response_header()
        return header


class Answer(Closing, WSGITask):
    """An answer of the application."""

    def get_environment(self) -> dict[str, Any]:
        """WSGI's, with the scheme `https` if a trusted proxy says so."""
        environ: dict[str, Any] = super().get_environment()
        peer = self.channel.addr[0]
        if self.channel.server.is_secure(peer, self.request.headers):
            environ["wsgi.url_scheme"] = "https"
        return environ


class Refusal(Closing, ErrorTask):
    """The answer to a request that is not HTTP."""


class Connection(HTTPChannel):
    """A client's connection. All methods but `service` run in the thread of the sockets."""

    task_class = Answer
    error_task_class = Refusal

    server: Accepting
    close_when_flushed: bool

    def __init__(self, server: Accepting, sock: socket.socket, *given: Any, **named: Any) -> None:
        # Otherwise poll reports urgent data again and again, and it is never read.
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        super().__init__(server, sock, *given, **named)
        self._ahead = b""
        self.parser_class = partial(Request, keep=self._keep)
        self._answers = 0
        self._sent = 0
        self._lingering = False
        self._phase: tuple[Phase, int] = (Phase.HEADERS, 0)
        self._since, self._sent_before = time.monotonic(), 0

    def waits_since(self) -> float:
        """Since when we wait for this client, by `time.monotonic`; later for each byte moved.

        Call it regularly: a phase begins when this first sees it.
        """
        phase = (self._now_in(), self._answers)
        if phase != self._phase:
            self._phase, self._since = phase, time.monotonic()
            self._sent_before = self._sent
        moved = self._sent - self._sent_before
        if phase[0] is Phase.BODY and self.request:
            moved = self.request.body_bytes_received
        return self._since + moved / self.server.limits.rate

    def is_late(self) -> bool:
        """Whether the client has exceeded its deadline."""
        since = self.waits_since()
        allowed = self.server.limits.of(self._phase[0])
        return allowed is not None and time.monotonic() > since + allowed

    @property
    def is_served(self) -> bool:
        """Whether the application is working on a request of it."""
        return bool(self.requests)

    def _now_in(self) -> Phase:
        if self._lingering:
            return Phase.LINGERING
        if self.requests:
            return Phase.SERVED
        if self.total_outbufs_len or self.close_when_flushed:
            return Phase.SENDING
        if self.request is None:
            return Phase.IDLE if self._answers else Phase.HEADERS
        return Phase.BODY if self.request.headers_finished else Phase.HEADERS

    def service(self) -> None:
        """Answer one request, in a thread of the pool."""
        super().service()
        self._answers += 1

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send what the socket takes now; returns how many bytes."""
        sent: int = super().send(data, do_close)
        self._sent += sent
        return sent

    def readable(self) -> bool:
        if self._lingering:
            return not self.will_close
        wants: bool = super().readable()
        if wants and self._ahead:
            # A client may send requests ahead. Each is parsed after the answer to the one before.
            data, self._ahead = self._ahead, b""
            self.received(data)
            wants = super().readable()
        return wants

    def handle_read(self) -> None:
        if self._lingering:
            self.recv(self.adj.recv_bytes)  # closes at the end of the data
        else:
            super().handle_read()

    def handle_write(self) -> None:
        """Send what the socket takes; after the last answer close our half of the connection.

        Closing a socket that has unread data resets the connection, and the client may lose an
        answer that it has not read yet.
        """
        last = self.close_when_flushed
        if last:
            self.close_when_flushed = False  # else waitress closes at once
        super().handle_write()
        if not last or not self.connected:
            return
        if self.total_outbufs_len:
            self.close_when_flushed = True
            return
        self._lingering = True
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.handle_close()

    def abort(self) -> None:
        """Close it and drop unsent data, which the kernel would keep longer otherwise."""
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self.handle_close()

    def _keep(self, data: bytes) -> None:
        self._ahead += data

    def handle_expt(self) -> None:
        """Urgent data is read with all other data."""
