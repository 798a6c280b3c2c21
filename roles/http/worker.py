"""A web process: a gunicorn worker with the sockets and threads of waitress."""

import os
import resource
import socket
import time
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from types import FrameType
from typing import Any

from django.conf import settings
from gunicorn.errors import ConfigError
from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from monitor.probe_paths import HEALTH
from roles.http.limits import Limits
from roles.http.server import Server, TcpServer, UnixServer

__all__ = ["HTTPWorker"]

TURN, STOPPING_TURN = 0.5, 0.1  # seconds between two checks of the deadlines
STOPPING_IDLE = 0.5
"""Seconds for a request that a client was just sending on an idle connection at the stop."""
MOST_HEADER_BYTES = 64 * 1024
FILES_OF_ONE = 3  # a connection's socket, its body on disk, its answer on disk
FILES_OF_OTHERS = 100
NO_LIMIT = 1 << 62


class HTTPWorker(Worker):
    """Respects gunicorn's `--workers`, `--threads`, `--worker-connections`, `--keep-alive`,
    `--max-requests` and `--graceful-timeout` as its own gthread worker does."""

    alive: bool

    @classmethod
    def check_config(cls, cfg: Any, _log: Any) -> None:
        """Called before the start. TLS must end at a proxy."""
        if cfg.is_ssl:
            raise ConfigError("This web server speaks plain HTTP: let a proxy in front end TLS.")

    def init_process(self) -> None:
        """Called in the new process; returns when the process is to end."""
        self._sockets: dict[int, Any] = {}
        self._servers: list[Server] = []
        super().init_process()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin a graceful stop."""
        super().handle_exit(sig, frame)
        self._wake()

    def run(self) -> None:
        """Serve until a stop; then finish the requests that have begun."""
        self._threads, self._health = ThreadedTaskDispatcher(), ThreadedTaskDispatcher()
        self._threads.set_thread_count(self.cfg.threads)
        self._health.set_thread_count(1)
        self._listen()
        while self.alive and os.getppid() == self.ppid:
            self._turn()
        self._stop()

    def _listen(self) -> None:
        cfg = self.cfg
        limits = Limits(
            idle=cfg.keepalive,
            headers=settings.WEB_HEADER_TIMEOUT,
            body=settings.WEB_BODY_TIMEOUT,
            rate=settings.WEB_MIN_RATE,
            connections=min(cfg.worker_connections, _files() // FILES_OF_ONE),
        )
        for listener in self.sockets:
            kind = UnixServer if listener.family == socket.AF_UNIX else TcpServer
            server = kind(
                self.wsgi,
                self._sockets,
                listener.sock,
                adjustments=_adjustments(cfg, listener.sock.getsockname()),
                limits=limits,
                add_task=self._add_task,
                is_proxy=partial(_is_proxy, cfg),
                secure=cfg.secure_scheme_headers,
            )
            self._servers.append(server)

    def _add_task(self, connection: Any) -> None:
        """Hand the next request of a connection to a thread."""
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        request = connection.requests[0]
        asks_health = not request.error and request.path == f"/{HEALTH}"
        # Health has a thread of its own, which no other request can block.
        (self._health if asks_health else self._threads).add_task(connection)

    def _turn(self, seconds: float = TURN) -> None:
        self.notify()
        wasyncore.poll2(seconds, self._sockets)
        for server in self._servers:
            server.close_late()

    def _wake(self) -> None:
        for server in self._servers:
            server.pull_trigger()

    def _stop(self) -> None:
        for server in self._servers:
            server.stop(idle=min(self.cfg.keepalive, STOPPING_IDLE))
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while any(server.active_channels for server in self._servers):
            if time.monotonic() > deadline:
                break
            self._turn(STOPPING_TURN)


def _adjustments(cfg: Any, address: Any) -> Adjustments:
    """The settings of waitress."""
    return Adjustments(
        ident=None,
        server_name=address[0] if isinstance(address, tuple) else "localhost",
        backlog=cfg.backlog,
        recv_bytes=64 * 1024,
        max_request_header_size=MOST_HEADER_BYTES,
        # Whether a body is accepted is decided in `Request`, before it is read.
        max_request_body_size=NO_LIMIT,
        # An answer goes to memory, then to disk, as fast as the application makes it. A thread must
        # not wait for the client to read it.
        outbuf_high_watermark=NO_LIMIT,
        # `Limits` decides how many there may be, and for how long.
        connection_limit=NO_LIMIT,
        cleanup_interval=NO_LIMIT,
        clear_untrusted_proxy_headers=False,  # Django's settings say which are trusted
        log_socket_errors=False,
    )


def _is_proxy(cfg: Any, peer: str) -> bool:
    """Whether gunicorn's settings trust what this peer says about its client."""
    if "*" in cfg.forwarded_allow_ips:
        return True
    try:
        address = ip_address(peer)
    except ValueError:
        return True  # on a Unix socket
    return any(address in network for network in cfg.forwarded_allow_networks())


def _files() -> int:
    """How many file descriptors connections may use: as many as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS reports a higher limit than it allows to set
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return NO_LIMIT if allowed == resource.RLIM_INFINITY else max(allowed - FILES_OF_OTHERS, 1)
