"""The whole suite: a round on SQLite, then one on PostgreSQL, each in several processes.

`make test ARGS=...` runs pytest with these arguments instead, in one process, on SQLite, or on
`DATABASE_URL` where it is set.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack

from tests.rounds import COMPUTING, MIGRATED, ON_POSTGRES, WAITING, on_sqlite
from tests.services import postgres_server, postgres_tools

PYTEST = [sys.executable, "-m", "pytest"]


def main(args: Sequence[str]) -> int:
    if args or "DATABASE_URL" in os.environ:
        return pytest(args)
    say("On SQLite:")
    tools = postgres_tools()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        file = f"{folder}/migrated.sqlite3"
        postgres = tools and stack.enter_context(postgres_server(tools))
        # After a change each process of a round would compile all tests, which takes 2 s more.
        collect = [*PYTEST, "--collect-only", "--quiet", "tests"]
        with subprocess.Popen(collect, env=kept(), stdout=subprocess.DEVNULL):
            migrate(f"sqlite:///{file}")
            if postgres:
                # PostgreSQL copies this one for each database that is made.
                migrate(postgres.removesuffix("postgres") + "template1")
        failed = pytest([*COMPUTING, "--reuse-db", *on_sqlite()], **{MIGRATED: file})
        if not postgres:
            say("On PostgreSQL: skipped, for there is no `initdb` on PATH: install postgresql.")
            return failed or int("CI" in os.environ)
        say("On PostgreSQL:")
        return pytest([*WAITING, *ON_POSTGRES], DATABASE_URL=postgres) or failed


def migrate(url: str) -> None:
    """Once for all processes of a round, each of which would take 2 s for it."""
    environ = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": url}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], env=environ, check=True)


def pytest(args: Sequence[str], **environ: str) -> int:
    return subprocess.run([*PYTEST, *args], env=kept() | environ, check=False).returncode


def kept() -> dict[str, str]:
    """The environment, in which modules that are compiled are kept, whatever the shell says: each
    process of a round would compile all tests again, which takes 6 s, and each program all of ours.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command line


sys.exit(main(sys.argv[1:]))
