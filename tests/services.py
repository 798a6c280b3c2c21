"""Real servers for the tests, each on its own socket or port."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import redis
from kombu import Connection
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from quickstart.redis import RedisServer

__all__ = [
    "Postgres",
    "RabbitMQ",
    "Redis",
    "free_port",
    "postgres_server",
    "postgres_tools",
    "redis_server",
]


def free_port() -> int:
    """A free TCP port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Redis:
    """A Redis server with its own folder. `options` are passed to the server."""

    def __init__(self, server: RedisServer, folder: Path, *options: str) -> None:
        path = folder / "redis.sock"
        server.files(folder).mkdir()
        self._command = [*server.command(folder, path), *options]
        self.url = f"redis+socket://{quote(str(path))}"
        self.client = redis.Redis(
            unix_socket_path=str(path),
            retry=Retry(ConstantBackoff(0.05), 200),
            retry_on_error=[redis.ConnectionError, FileNotFoundError],
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        self.client.ping()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()


@contextmanager
def redis_server(server: RedisServer) -> Iterator[str]:
    """Run a Redis server; yields its URL for Celery."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        running = Redis(server, Path(folder))
        try:
            running.start()
            yield running.url
        finally:
            running.client.close()
            running.kill()


class RabbitMQ:
    """A RabbitMQ server with its own folder, ports and name service.

    Raises:
        FileNotFoundError: it is not installed.
    """

    PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

    def __init__(self, folder: Path) -> None:
        if not self.PROGRAM.exists():
            raise FileNotFoundError(self.PROGRAM)
        port = free_port()
        self._environ = os.environ | {
            "HOME": str(folder),  # for the cookie
            "ERL_EPMD_PORT": str(free_port()),
            "RABBITMQ_NODENAME": f"test{port}@localhost",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
        }
        self._port, self._log = port, folder / "output"
        self.url = f"amqp://guest:guest@127.0.0.1:{port}//"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # Else the server starts it as a daemon, which outlives it.
        self._names = subprocess.Popen(["epmd"], env=self._environ)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(self.PROGRAM)],
                env=self._environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            late = time.monotonic() > deadline or self._process.poll() is not None
            assert not late, self._log.read_text()
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._names.kill()
        self._names.wait()


def postgres_tools() -> Path | None:
    """The folder of the newest `initdb` and `pg_ctl`, or None if there is none."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3])
    )
    return installed[-1].parent if installed else None


QUICK = ["fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0"]
"""Options of a PostgreSQL that may lose its data."""


class Postgres:
    """A PostgreSQL server with its own cluster in a folder.

    Args:
        fsync: whether what was committed is there after an immediate stop.
        name, password: of its superuser; without a password it lets everybody in.
    """

    def __init__(
        self, tools: Path, folder: Path, *, fsync: bool, name: str = "", password: str = ""
    ) -> None:
        self._tools, self._folder = tools, folder
        # PostgreSQL refuses to run as root, and CI often runs as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        name = name or self._user or pwd.getpwuid(os.geteuid()).pw_name
        port = free_port()
        secret, login = "", ["-A", "trust"]
        if password:
            (folder / "password").write_text(password)
            secret, login = f":{password}", ["-A", "scram-sha-256", f"--pwfile={folder}/password"]
        self.url = f"postgres://{name}{secret}@127.0.0.1:{port}/postgres"
        self._options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"
        self._options += "" if fsync else f" {' '.join(f'-c {each}' for each in QUICK)}"
        self._run("initdb", *login, "-U", name, "-E", "UTF8", *["--no-sync"] * (not fsync))

    def _run(self, tool: str, *args: str) -> None:
        command = [str(self._tools / tool), "-D", str(self._folder / "data"), *args]
        subprocess.run(
            command, check=True, user=self._user, cwd=self._folder, stdout=subprocess.DEVNULL
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = str(self._folder / "log")
        self._run("pg_ctl", "-w", "-l", log, "-o", self._options, "start")

    def stop(self) -> None:
        """Stop at once, without a checkpoint, like a crash."""
        if (self._folder / "data" / "postmaster.pid").exists():  # not stopped before
            self._run("pg_ctl", "-w", "-m", "immediate", "stop")


@contextmanager
def postgres_server(tools: Path, **login: str) -> Iterator[str]:
    """Run a PostgreSQL server; yields its URL for Django. `login`: see `Postgres`."""
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = Postgres(tools, Path(folder), fsync=False, **login)
        server.start()
        try:
            yield server.url
        finally:
            server.stop()
