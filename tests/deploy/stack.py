"""The services of docker-compose.yml, run on this machine without an engine.

Each has the command, the environment, the user, the volumes and the health check that the files
give it. Only what an engine would do is done here: the names of PostgreSQL and Redis become ports
of loopback, and `/tmp` and the volumes become folders.
"""

import os
import pwd
import signal
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.deploy.compose import Compose, Service, seconds
from tests.deploy.dockerfile import Image
from tests.services import free_port, postgres_server
from tests.waiting import until

__all__ = ["Process", "Stack", "as_user", "stop_grace"]

PORTS = {"postgres": 5432, "redis": 6379}
"""Of the two images that are not ours."""


def as_user(user: int) -> dict[str, Any]:
    """What makes a subprocess that user's: nothing where we may not, and are nobody special."""
    if os.geteuid() != 0:
        return {}
    # Celery warns of a group without a name; the image makes one for its user.
    group = pwd.getpwnam("nobody").pw_gid
    return {"user": user, "group": group, "extra_groups": []}


class Process:
    """A service that runs."""

    def __init__(self, command: list[str], log: Path, **options: Any) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                **options,
            )

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def stop(self, within: float) -> int:
        """SIGTERM, as an engine stops it; its exit code.

        Raises:
            subprocess.TimeoutExpired: an engine would kill it now.
        """
        self._process.terminate()
        return self._process.wait(within)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Stack:
    """All services. `start` starts one after those that it depends on."""

    def __init__(self, compose: Compose, image: Image, folder: Path, tools: Path) -> None:
        self.compose, self.image = compose, image
        self.web_port = free_port()
        self.processes: dict[str, Process] = {}
        self._folder, self._tools = folder, tools
        self._ports = {name: free_port() for name in PORTS}
        self._exit = ExitStack()

    def __enter__(self) -> "Stack":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def start(self, name: str) -> None:
        if name in self.processes:
            return
        service = self.compose.services[name]
        for other, condition in service.after.items():
            self.start(other)
            if condition == "service_completed_successfully":
                assert self.processes[other]._process.wait(120) == 0, self.log(other)
            else:
                assert condition == "service_healthy", condition
                self.wait_until_healthy(other)
        self.processes[name] = getattr(self, f"_{name}", self._ours)(service)

    def another(self, name: str, **variables: str) -> Process:
        """One more of a service that runs already, with other variables."""
        return self._ours(self.compose.services[name], **variables)

    def wait_until_healthy(self, name: str) -> None:
        def look() -> bool:
            assert self.processes[name].exit_code is None, self.log(name)
            return self.health(name).returncode == 0

        until(f"the health of {name}", look, timeout=60, every=0.2)

    def health(self, name: str) -> subprocess.CompletedProcess[str]:
        """Its health check."""
        service = self.compose.services[name]
        check = service.healthcheck
        if name == "redis":  # whose client has no variable for the port
            check = [*check[:1], "-p", str(self._ports[name]), *check[1:]]
        if name in PORTS:
            environment = {
                "PATH": f"{self._tools}:{os.environ['PATH']}",
                **{"PGHOST": "127.0.0.1", "PGPORT": str(self._ports[name])},
            }
            return subprocess.run(
                check, env=environment, capture_output=True, text=True, check=False
            )
        return self.inside(name, check)

    def run(self, name: str, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`docker compose run NAME COMMAND`."""
        return self.inside(name, [*self.image.entrypoint, *command], **variables)

    def inside(
        self, name: str, command: list[str], **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """`docker compose exec NAME COMMAND`."""
        options = self._options(self.compose.services[name])
        options["env"] |= variables
        return subprocess.run(
            command, **options, capture_output=True, text=True, timeout=60, check=False
        )

    def log(self, name: str) -> str:
        return self.processes[name].log.read_text()

    def _ours(self, service: Service, **variables: str) -> Process:
        command = [*self.image.entrypoint, *(service.command or self.image.command)]
        options = self._options(service)
        options["env"] |= variables
        return self._process(service.name, command, **options)

    def _postgres(self, service: Service) -> Process:
        environment = service.environment
        url = self._exit.enter_context(
            postgres_server(
                self._tools,
                name=environment["POSTGRES_USER"],
                password=environment["POSTGRES_PASSWORD"],
            )
        )
        self._ports["postgres"] = urlsplit(url).port or 0
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{environment["POSTGRES_DB"]}"'.encode())
        return self._process("postgres", ["sleep", "infinity"])  # the server is a daemon

    def _redis(self, service: Service) -> Process:
        folder = self._folder / "redis"
        folder.mkdir()
        here = {"--port": str(self._ports["redis"]), "--bind": "127.0.0.1", "--dir": str(folder)}
        options = [word for option in here.items() for word in option]
        return self._process("redis", [*service.command, *options])

    def _process(self, name: str, command: list[str], **options: Any) -> Process:
        log = self._folder / f"{name}-{free_port()}.log"
        process = Process(command, log, **options)
        self._exit.callback(process.kill)
        return process

    def _options(self, service: Service) -> dict[str, Any]:
        """The environment, working directory and user of a service of our image."""
        environment = self.image.environment | {
            name: self.image.inside(value) for name, value in service.environment.items()
        }
        environment |= {"WEB_PORT": str(self.web_port), "TMPDIR": str(self.image.path("/tmp"))}
        for name, value in environment.items():
            for path, place in self._mounts(service).items():
                value = value.replace(str(self.image.path(path)), str(place))  # noqa: PLW2901
            for host, port in PORTS.items():
                value = value.replace(  # noqa: PLW2901
                    f"{host}:{port}", f"127.0.0.1:{self._ports[host]}"
                )
            environment[name] = value
        return {
            "env": environment,
            "cwd": self.image.path("."),
            **as_user(self.image.user),
        }

    def _mounts(self, service: Service) -> dict[str, Path]:
        """Where a service may write: paths of its own, and those of volumes that it shares."""
        mounts = dict.fromkeys(service.raw["tmpfs"], self._folder / f"{service.name}-tmpfs")
        for volume in service.raw["volumes"]:
            name, path = volume.split(":")
            mounts[path] = self._folder / f"volume-{name}"
        for path, place in mounts.items():
            if not place.exists():
                place.mkdir(mode=0o700)
                like = self.image.path(path)  # a new volume is as the image has that folder
                owner = like.stat() if path not in service.raw["tmpfs"] else None
                user = owner.st_uid if owner else self.image.user
                if os.geteuid() == 0:
                    os.chown(place, user, -1)
        return mounts


def stop_grace(service: Service) -> int:
    """Seconds between an engine's SIGTERM and its SIGKILL."""
    return seconds(service.raw["stop_grace_period"])
