"""A listening socket of a web process, and the connections made to it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from waitress.adjustments import Adjustments
from waitress.server import BaseWSGIServer, TcpWSGIServer, UnixWSGIServer

from roles.http.connection import Connection
from roles.http.limits import Limits

__all__ = ["Server", "TcpServer", "UnixServer"]

logger = logging.getLogger(__name__)


class Server(BaseWSGIServer):
    """waitress's server on a socket of gunicorn's.

    Args:
        sockets: all sockets of the process by file descriptor; waitress polls them.
        add_task: called with a connection that has received its next request.
        is_proxy: whether the headers of a peer at this address are trusted.
        secure: the headers with the values by which such a peer says that the client used https.
    """

    channel_class = Connection
    stopping = False

    def __init__(
        self,
        application: Any,
        sockets: dict[int, Any],
        listener: Any,
        *,
        adjustments: Adjustments,
        limits: Limits,
        add_task: Callable[[Connection], None],
        is_proxy: Callable[[str], bool],
        secure: Mapping[str, str],
    ) -> None:
        self.limits = limits
        self._add_task = add_task
        self._is_proxy = is_proxy
        self._secure = {name.replace("-", "_"): value for name, value in secure.items()}
        super().__init__(
            application,
            sockets,
            # Private. The public `create_server` takes sockets too, but not our server classes.
            _sock=listener,
            adj=adjustments,
            dispatcher=object(),  # not one of waitress
            bind_socket=False,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
        )

    def accept_connections(self) -> None:
        """Accept; gunicorn has called `listen` already."""
        self.accepting = True

    def is_secure(self, peer: str, headers: Mapping[str, str]) -> bool:
        """Whether the client used https, according to a trusted proxy."""
        matches = [
            headers[name] == value for name, value in self._secure.items() if name in headers
        ]
        return bool(matches) and all(matches) and self._is_proxy(peer)

    def add_task(self, task: Any) -> None:
        self._add_task(task)

    def handle_accept(self) -> None:
        """Accept one more connection."""
        if len(self.active_channels) >= self.limits.connections:
            self._make_room()
        super().handle_accept()

    def close_late(self) -> None:
        """Close the connections whose clients have exceeded a deadline."""
        late = [each for each in self._connections() if each.is_late()]
        for connection in late:
            connection.abort()
        if late:
            logger.info("closed %d connections whose clients took too long", len(late))

    def stop(self, idle: float) -> None:
        """Stop listening. From now on each answer closes its connection, and an idle connection is
        closed after `idle` seconds."""
        self.stopping = True
        self.limits = replace(self.limits, idle=idle, lingering=idle)
        self.accepting = False
        self.del_channel()
        self.socket.close()

    def _make_room(self) -> None:
        waiting = [each for each in self._connections() if not each.is_served]
        if waiting:
            min(waiting, key=Connection.waits_since).abort()

    def _connections(self) -> list[Connection]:
        return list(self.active_channels.values())


class TcpServer(Server, TcpWSGIServer):
    """On a port."""


class UnixServer(Server, UnixWSGIServer):
    """On a Unix socket."""
