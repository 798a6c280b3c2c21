"""Everything on one machine: database, broker, worker and web server, from start to stop."""

import errno
import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from celery import current_app
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.http.request import validate_host

from quickstart import account, probes, programs, redis
from quickstart.errors import BrokerUnreachable, DatabaseUnusable, DataDirUnusable, PortUnusable
from quickstart.pid_file import PidFile
from quickstart.private import make_private
from quickstart.process_runner import Program
from quickstart.supervisor import Supervisor
from roles.programs import python_path

__all__ = ["Options", "check_port", "prepare_database", "run", "stop_on_signals"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of the command line. `pool` and `concurrency` are for the Celery worker."""

    port: int
    pool: str
    concurrency: int


@dataclass(frozen=True, kw_only=True)
class Broker:
    """The broker. `program` runs it on the socket `path`; both are None for an external server."""

    url: str
    path: Path | None = None
    program: Program | None = None


def run(options: Options, out: TextIO) -> None:
    """Start everything, print the `ready:` line, and return when everything has been stopped.

    SIGINT, SIGTERM and SIGHUP stop it, except for signals that were ignored at its start, for
    example by `nohup`. No program is left running.

    Raises:
        UpError: it cannot start, or a program kept ending.
    """
    data_dir: Path = settings.DATA_DIR
    with ExitStack() as stack:
        pid_file = stack.enter_context(PidFile(data_dir / "up.pids"))
        make_private(data_dir)
        if count := pid_file.stop_leftovers():
            print(f"Stopped what an earlier `up` had left running: {count}.", file=out, flush=True)
        check_port(options.port)
        broker = _broker(stack, data_dir)
        current_app.conf.update(broker_url=broker.url)
        welcome = prepare_database(options.port)
        supervisor = stack.enter_context(Supervisor(out, pid_file))
        stop_on_signals(supervisor.stop)
        if _start(supervisor, broker, options):
            supervisor.say(welcome)
        supervisor.ended()


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` on signals, except for those that were ignored at the start."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: stop())


def check_port(port: int) -> None:
    """Raise PortUnusable if the web server cannot listen on the port."""
    with socket.socket() as probe:
        # As the server does: a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as exc:
            reason = "in use" if exc.errno == errno.EADDRINUSE else f"unusable ({exc.strerror})"
            raise PortUnusable(
                f"Port {port} is {reason}: choose another one with `make up PORT=9000` or "
                "`manage.py up --port 9000`."
            ) from exc


def _broker(stack: ExitStack, data_dir: Path) -> Broker:
    """The server of REDIS_URL, else one of our own on a Unix socket."""
    if url := os.environ.get("REDIS_URL", "").strip():
        if problem := probes.broker(url):
            raise BrokerUnreachable(
                f"The broker of REDIS_URL does not answer ({problem}): start it, correct the "
                "variable, or unset it to use a server of this project's own."
            )
        return Broker(url=url)
    server = redis.find()
    try:
        server.files(data_dir).mkdir(mode=0o700, exist_ok=True)
    except OSError as exc:
        raise DataDirUnusable(
            f"{server.files(data_dir)} cannot be used ({exc.strerror}): it is the folder of the "
            "Redis server, so move what is there away, or choose another directory with --data-dir."
        ) from exc
    path = stack.enter_context(redis.socket_in(data_dir))
    return Broker(
        url=f"redis+socket://{quote(str(path))}",
        path=path,
        program=programs.redis(server, data_dir, path, dict(os.environ)),
    )


def prepare_database(port: int) -> str:
    """Migrate, and return the lines that tell the local user how to log in.

    Raises:
        DatabaseUnusable: it does not answer, is read-only, is too old, or refuses this user.
    """
    try:
        call_command("migrate", verbosity=0, interactive=False)
        user = account.local_user()
        link, token = account.login_path(user), account.api_token(user)
    except DatabaseError as exc:
        reason = str(exc).strip().splitlines()[0]
        raise DatabaseUnusable(
            f"The database {connection.settings_dict['NAME']} cannot be used ({reason}): "
            "start its server, make it writable for this user, or correct DATABASE_URL."
        ) from exc
    finally:
        connection.close()
    origin = f"http://{_host()}:{port}"
    return (
        f"ready: {origin}{link}\n"
        f'curl -X POST -H "Authorization: Token {token}" -H "Content-Type: application/json" '
        f"-d '{{\"limit\": 100}}' {origin}/workflows/main_flow/"
    )


def _host() -> str:
    """The name of this machine in links: one that ALLOWED_HOSTS has."""
    names = ("127.0.0.1", "localhost")
    return next((each for each in names if validate_host(each, settings.ALLOWED_HOSTS)), names[0])


def _start(supervisor: Supervisor, broker: Broker, options: Options) -> bool:
    """Start the programs in order; False if a stop came before all of them answered."""
    path = broker.path
    if broker.program and path:
        supervisor.start(broker.program)
        if not supervisor.until("redis", lambda: probes.embedded_redis(path)):
            return False
    environment = _environment(broker)
    supervisor.start(
        programs.worker(options.port, options.pool, options.concurrency, environment),
        programs.web(options.port, environment),
    )
    name = programs.worker_name(options.port)
    return supervisor.until("web", lambda: probes.web(options.port)) and supervisor.until(
        "worker", lambda: probes.worker(name)
    )


def _environment(broker: Broker) -> dict[str, str]:
    """The environment of our Python programs: this data directory, this broker, and this
    project's code, independent of the working directory."""
    return {
        **os.environ,
        "DATA_DIR": str(settings.DATA_DIR),
        "REDIS_URL": broker.url,
        "PYTHONPATH": python_path(),
        "PYTHONUNBUFFERED": "1",
    }
