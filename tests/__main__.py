"""The whole suite: a round on SQLite and one on PostgreSQL at the same time, in several processes.

Each waits for leases, workers and browsers for a third of its time, so together they take less time
than one after the other. What the second says is printed when both have ended.

`make test ARGS=...` runs pytest with these arguments instead, in one process, on SQLite, or on
`DATABASE_URL` where it is set.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, Any

from tests.rounds import ON_POSTGRES, in_processes, on_sqlite
from tests.services import postgres_server, postgres_tools


def main(args: Sequence[str]) -> int:
    if args or "DATABASE_URL" in os.environ:
        return pytest(args).wait()
    tools = postgres_tools()
    if tools is None:
        failed = pytest([*in_processes(rounds=1), *on_sqlite()]).wait()
        say("On PostgreSQL: skipped, for there is no `initdb` on PATH: install postgresql.")
        return failed or int("CI" in os.environ)
    say("On SQLite, and beside it on PostgreSQL, which is printed at the end:")
    processes = in_processes(rounds=2)
    with postgres_server(tools) as url, tempfile.TemporaryFile("w+") as told:
        second = pytest([*processes, *ON_POSTGRES], told, DATABASE_URL=url)
        failed = pytest([*processes, *on_sqlite()]).wait()
        failed = second.wait() or failed
        told.seek(0)
        say(f"On PostgreSQL:\n{told.read()}")
    return failed


def pytest(
    args: Sequence[str], output: IO[str] | None = None, **environ: str
) -> "subprocess.Popen[Any]":
    command = [sys.executable, "-m", "pytest", *args]
    return subprocess.Popen(
        command, env=os.environ | environ, stdout=output, stderr=output and subprocess.STDOUT
    )


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command line


sys.exit(main(sys.argv[1:]))
