"""The servers of the storm: of its own, and made to be killed."""

import os
import pwd
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from quickstart.redis import RedisServer
from tests.services import free_port

__all__ = ["Broker", "Database", "Postgres", "SQLite"]


class Broker:
    """A Redis server that keeps nothing."""

    def __init__(self, server: RedisServer, folder: Path) -> None:
        self._path = folder / "redis.sock"
        server.files(folder).mkdir()
        self._command = [*server.command(folder, self._path), "--appendonly", "no"]
        self.url = f"redis+socket://{quote(str(self._path))}"
        self.client = redis.Redis(
            unix_socket_path=str(self._path),
            retry=Retry(ConstantBackoff(0.05), 200),
            retry_on_error=[redis.ConnectionError, FileNotFoundError],
        )

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        self.client.ping()

    def kill(self) -> None:
        """SIGKILL: whatever it held is gone."""
        self._process.kill()
        self._process.wait()

    def empty(self) -> None:
        self.client.flushall()

    def cut(self) -> None:
        """Close the connections of all clients."""
        for kind in ("normal", "pubsub"):
            self.client.client_kill_filter(_type=kind)


class Database(Protocol):
    """A database that can be away."""

    url: str

    def start(self) -> None:
        """Start it, and wait until it answers."""

    def away(self, seconds: float) -> Iterator[float]:
        """Take it away; yields the seconds until it wants to be asked for the next value."""

    def stop(self) -> None:
        """End it for good."""


class Postgres:
    """A PostgreSQL server with a cluster of its own."""

    def __init__(self, tools: Path, folder: Path) -> None:
        self._tools, self._folder = tools, folder
        # PostgreSQL refuses to run as root, as whom CI often runs.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        name = self._user or pwd.getpwuid(os.geteuid()).pw_name
        port = free_port()
        self.url = f"postgres://{name}@127.0.0.1:{port}/postgres"
        # fsync stays on: what was committed must be there after an immediate stop.
        self._options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"
        self._run("initdb", "-A", "trust", "-U", name, "-E", "UTF8")

    def _run(self, tool: str, *args: str) -> None:
        command = [str(self._tools / tool), "-D", str(self._folder / "data"), *args]
        subprocess.run(
            command, check=True, user=self._user, cwd=self._folder, stdout=subprocess.DEVNULL
        )

    def start(self) -> None:
        log = str(self._folder / "log")
        self._run("pg_ctl", "-w", "-l", log, "-o", self._options, "start")

    def away(self, seconds: float) -> Iterator[float]:
        self.stop()
        yield seconds
        self.start()

    def stop(self) -> None:
        """Without a checkpoint or a good-bye, as a crash does."""
        if (self._folder / "data" / "postmaster.pid").exists():  # and not just away
            self._run("pg_ctl", "-w", "-m", "immediate", "stop")


class SQLite:
    """A file. It cannot be away, but locked for everyone else."""

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
                yield 0.005  # the database is busy: it is free in between
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
