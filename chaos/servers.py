"""The servers of the chaos test, which its faults kill."""

import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from quickstart.redis import RedisServer
from tests import services

__all__ = ["Broker", "Database", "DeadReceiver", "Postgres", "SQLite"]


class Broker(services.Redis):
    """A Redis server that keeps nothing."""

    def __init__(self, server: RedisServer, folder: Path) -> None:
        super().__init__(server, folder, "--appendonly", "no")

    def empty(self) -> None:
        self.client.flushall()

    def cut(self) -> None:
        """Close the connections of all clients."""
        for kind in ("normal", "pubsub"):
            self.client.client_kill_filter(_type=kind)


class DeadReceiver:
    """A receiver of webhooks that takes connections, and never reads or answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"

    def close(self) -> None:
        self._socket.close()


class Database(Protocol):
    """A database that can be made unavailable."""

    url: str

    def start(self) -> None:
        """Start it, and wait until it answers."""

    def away(self, seconds: float) -> Iterator[float]:
        """Make it unavailable; yields the seconds until `next` is to be called again."""

    def stop(self) -> None:
        """End it."""


class Postgres(services.Postgres):
    """A PostgreSQL server that loses nothing that was committed."""

    def __init__(self, tools: Path, folder: Path) -> None:
        super().__init__(tools, folder, fsync=True)

    def away(self, seconds: float) -> Iterator[float]:
        self.stop()
        yield seconds
        self.start()


class SQLite:
    """A file. It cannot be made unavailable, but it can be locked."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "db.sqlite3"
        self.url = f"sqlite:///{quote(str(self._path))}"

    def start(self) -> None:
        """There is nothing to start."""

    def away(self, seconds: float) -> Iterator[float]:
        lock = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        try:
            give_up_at = time.monotonic() + 10
            while not _locked(lock) and time.monotonic() < give_up_at:
                yield 0.005  # another write holds the lock, for a short time
            yield seconds
        finally:
            lock.close()

    def stop(self) -> None:
        """There is nothing to stop."""


def _locked(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True
