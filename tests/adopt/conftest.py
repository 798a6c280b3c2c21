"""The team's project, with our wheel in a clean environment."""

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import pytest

from tests.conftest import find_redis
from tests.deploy.test_wheel import build_wheel
from tests.forking import ForkServer
from tests.services import redis_server

__all__ = ["Client", "Installed", "Team"]

PROJECT = Path(__file__).parent / "project"
PASSWORD = "a long pass phrase"
READY_WITHIN = 60  # seconds
WORKER = ["-m", "celery", "-A"]
PYTEST = ["-q", "-p", "no:cacheprovider", "--rootdir=."]


class Installed:
    """A virtual environment with our wheel and its dependencies, and nothing else of ours."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: ForkServer | None = None
        self.python = folder / "bin" / "python"
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.packages = folder / "lib" / version / "site-packages"

    def make(self, wheel: Path) -> None:
        """Create it, with this wheel."""
        venv.create(self._folder, symlinks=True)
        # The dependencies are those that the tests run with. Installing them takes a minute.
        # And no program goes through all that it has loaded once more, only to end: 0.2 s each.
        lines = [sysconfig.get_path("purelib"), "import atexit, gc; atexit.register(gc.freeze)"]
        (self.packages / "dependencies.pth").write_text("\n".join([*lines, ""]))
        options = ["--quiet", "--no-deps", "--no-index", "--target", str(self.packages)]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)

    @property
    def programs(self) -> ForkServer:
        """Forks programs of this environment, with libraries loaded, and nothing of ours."""
        if self._server is None:
            self._server = ForkServer(self.environ(), python=str(self.python))
        return self._server

    def close(self) -> None:
        """Wait until all its programs have ended."""
        if self._server is not None:
            self._server.close()
            self._server.wait()

    def environ(self, **changes: str) -> dict[str, str]:
        """An environment without anything of the tests' own."""
        kept = ("PATH", "HOME", "LANG", "TMPDIR")
        return {name: os.environ[name] for name in kept if name in os.environ} | changes


class Client(httpx.Client):
    """A browser: it sends the CSRF token that it has as a cookie."""

    def request(self, method: str, url: httpx.URL | str, **more: Any) -> httpx.Response:
        token = {"X-CSRFToken": self.cookies.get("csrftoken", "")}
        headers = token | (more.pop("headers", None) or {})
        return super().request(method, url, headers=headers, **more)


class Team:
    """The project of a team, in a folder of its own."""

    def __init__(self, folder: Path, installed: Installed, **environ: str) -> None:
        self.folder, self.installed = folder, installed
        self._environ = environ
        self.url = ""

    def manage(self, *args: str, code: int = 0, **environ: str) -> str:
        """What `manage.py` prints, on both outputs; it must exit with `code`."""
        return self.python("manage.py", *args, code=code, **environ)

    def python(self, *args: str, code: int = 0, **environ: str) -> str:
        """The same of a Python with these arguments."""
        done = self.installed.programs.complete(
            *args,
            environ=self.installed.environ(**self._environ, **environ),
            cwd=str(self.folder),
            merged=True,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def start(self, *args: str, until: str) -> "Running":
        """Start a program, and wait until it prints a line with that text."""
        return Running(self, args, until)

    def serve(self) -> "Running":
        """Start the web server on a free port."""
        options = ["--noreload", "--insecure", "127.0.0.1:0"]
        server = self.start("manage.py", "runserver", *options, until="development server at")
        self.url = server.line.split()[-1].rstrip("/")
        return server

    def work(self, app: str = "team", *options: str) -> "Running":
        """Start a Celery worker, as the team does."""
        return self.start(
            *WORKER, app, "worker", "-c", "2", "-l", "INFO", *options, until=" ready."
        )

    def make_people(self) -> None:
        """Make the database, Ann, and Eve, who is of the staff."""
        people = "; ".join(
            f"User.objects.create_user({email!r}, {PASSWORD!r}, is_staff={staff}, "
            f"is_superuser={staff})"
            for email, staff in (("ann@example.com", False), ("eve@example.com", True))
        )
        # In one program: to start another takes longer than what it does.
        migrate = (
            "from django.core.management import call_command; call_command('migrate', verbosity=0)"
        )
        self.manage(
            "shell", "-v", "0", "-c", f"{migrate}; from people.models import User; {people}"
        )

    @contextmanager
    def browser(self, email: str) -> Iterator[Client]:
        """A browser of somebody who has logged in on the team's own page."""
        with Client(base_url=self.url, timeout=30) as client:
            client.get("/enter/").raise_for_status()
            form = {"username": email, "password": PASSWORD}
            answer = client.post("/enter/", data=form)
            assert answer.status_code == httpx.codes.FOUND, answer.text
            yield client


class Running:
    """A program of the team; a context, which ends it."""

    def __init__(self, team: Team, words: Sequence[str], until: str) -> None:
        environ = team.installed.environ(**team._environ)
        self._process = team.installed.programs.run(*words, environ=environ, cwd=str(team.folder))
        assert self._process.stdout is not None
        # A program that hangs says nothing any more.
        alarm = threading.Timer(READY_WITHIN, self._process.kill)
        alarm.start()
        seen = []
        for line in self._process.stdout:
            seen.append(line)
            if until in line:
                self.line = line
                break
        else:
            pytest.fail("".join(seen))
        alarm.cancel()
        # So that it never waits for a reader.
        self._rest = subprocess.Popen(
            ["cat"], stdin=self._process.stdout, stdout=subprocess.DEVNULL
        )

    def __enter__(self) -> "Running":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)
        self._rest.wait(timeout=60)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """One for all processes of the tests; the first that needs it makes it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # where each process has a folder
    folder /= "installed"
    folder.mkdir(exist_ok=True)
    made, made_before = Installed(folder / "venv"), folder / "made"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made_before.exists():
            made.make(build_wheel(folder))
            made_before.touch()
    yield made
    made.close()


MakeTeam = Callable[..., Team]


@pytest.fixture(scope="session")
def make_team(tmp_path_factory: pytest.TempPathFactory, installed: Installed) -> MakeTeam:
    """Copies the project into a folder of its own."""

    def make(**environ: str) -> Team:
        folder = tmp_path_factory.mktemp("team") / "project"
        ignore = shutil.ignore_patterns("__pycache__", "*.sqlite3")
        shutil.copytree(PROJECT, folder, ignore=ignore)
        return Team(folder, installed, **environ)

    return make


@pytest.fixture(scope="session")
def team(make_team: MakeTeam) -> Iterator[Team]:
    """The project with its database, people, web server and worker.

    The broker is its own: this worker still runs in the tests after, and would take their messages.
    """
    with redis_server(find_redis()) as broker:
        made = make_team(TEAM_BROKER=broker)
        made.make_people()
        with made.serve(), made.work():
            yield made


@pytest.fixture(scope="session")
def ann(team: Team) -> Iterator[Client]:
    with team.browser("ann@example.com") as client:
        yield client


@pytest.fixture(scope="session")
def eve(team: Team) -> Iterator[Client]:
    """Of the staff."""
    with team.browser("eve@example.com") as client:
        yield client
