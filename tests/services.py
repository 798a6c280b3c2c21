"""Real servers for the tests: each started for them, on a socket or port of its own."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from quickstart.redis import RedisServer

__all__ = ["free_port", "postgres_server", "postgres_tools", "redis_server"]


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def redis_server(server: RedisServer) -> Iterator[str]:
    """Run a Redis server; yields its URL for Celery."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        data_dir = Path(folder)
        path = data_dir / "redis.sock"
        server.files(data_dir).mkdir()
        process = subprocess.Popen(server.command(data_dir, path), stdout=subprocess.DEVNULL)
        try:
            client = redis.Redis(
                unix_socket_path=str(path),
                retry=Retry(ConstantBackoff(0.05), 200),
                retry_on_error=[redis.ConnectionError, FileNotFoundError],
            )
            client.ping()
            client.close()
            yield f"redis+socket://{path}"
        finally:
            process.kill()
            process.wait()


def postgres_tools() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, the newest version's; None where there is none."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3])
    )
    return installed[-1].parent if installed else None


@contextmanager
def postgres_server(tools: Path) -> Iterator[str]:
    """Run a PostgreSQL server with a cluster of its own; yields its URL for Django."""
    # PostgreSQL refuses to run as root, as whom CI often runs.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        if user:
            shutil.chown(folder, user)
        data, port = Path(folder) / "data", free_port()

        def run(tool: str, *args: str) -> None:
            command = [str(tools / tool), "-D", str(data), *args]
            subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

        name = user or pwd.getpwuid(os.geteuid()).pw_name
        run("initdb", "-A", "trust", "-U", name, "-E", "UTF8", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
        run("pg_ctl", "-w", "-l", str(Path(folder) / "log"), "-o", options, "start")
        try:
            yield f"postgres://{name}@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
