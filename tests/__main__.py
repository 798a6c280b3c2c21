"""The whole suite: a round on SQLite, then one on PostgreSQL, each in several processes.

`make test ARGS=...` runs pytest with these arguments instead, in one process, on SQLite, or on
`DATABASE_URL` where it is set.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from tests.rounds import MIGRATED, ON_POSTGRES, PROCESSES, on_sqlite
from tests.services import postgres_server, postgres_tools


def main(args: Sequence[str]) -> int:
    if args or "DATABASE_URL" in os.environ:
        return pytest(args)
    say("On SQLite:")
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/migrated.sqlite3"
        migrate(f"sqlite:///{file}")
        failed = pytest([*PROCESSES, "--reuse-db", *on_sqlite()], **{MIGRATED: file})
    tools = postgres_tools()
    if tools is None:
        say("On PostgreSQL: skipped, for there is no `initdb` on PATH: install postgresql.")
        return failed or int("CI" in os.environ)
    say("On PostgreSQL:")
    with postgres_server(tools) as url:
        # PostgreSQL copies this one for each database that is made.
        migrate(url.removesuffix("postgres") + "template1")
        return pytest([*PROCESSES, *ON_POSTGRES], DATABASE_URL=url) or failed


def migrate(url: str) -> None:
    """Once for all processes of a round, each of which would take 2 s for it."""
    environ = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": url}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], env=environ, check=True)


def pytest(args: Sequence[str], **environ: str) -> int:
    command = [sys.executable, "-m", "pytest", *args]
    # Modules that are compiled are kept, whatever the shell says: each process of a round would
    # compile all tests again, which takes 6 s, and each program all of ours.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(command, env=kept | environ, check=False).returncode


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command line


sys.exit(main(sys.argv[1:]))
