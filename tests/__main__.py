"""The whole suite: on SQLite, then what touches the database again on PostgreSQL.

`make test ARGS=...` hands its arguments to pytest, on SQLite, or on `DATABASE_URL` where set.
"""

import os
import subprocess
import sys
from collections.abc import Sequence

from tests.services import postgres_server, postgres_tools

ON_POSTGRES = [
    *("tests/parent", "tests/deploy/test_migrations.py"),
    *("tests/monitor/test_api.py", "tests/monitor/test_cancel.py"),
    *("tests/monitor/test_bad_input.py", "tests/monitor/test_idempotency.py"),
    *("tests/monitor/test_polling.py", "tests/monitor/test_retry.py"),
    *("tests/monitor/test_access.py", "tests/monitor/test_login.py"),
    "tests/monitor/test_tokens.py",
    "tests/monitor/test_run_list.py",
    "tests/system",
    *("tests/monitor/test_operate.py", "tests/operate", "--ignore=tests/operate/test_settings.py"),
    # One of the faults has a PostgreSQL of its own, in the first round already.
    *("tests/faults", "--ignore=tests/faults/test_database.py"),
]


def main(args: Sequence[str]) -> int:
    if args or "DATABASE_URL" in os.environ:
        return pytest(args)
    on_sqlite = pytest([])
    tools = postgres_tools()
    if tools is None:
        print("PostgreSQL: skipped, for there is no `initdb` on PATH: install postgresql.")  # noqa: T201
        return on_sqlite or int("CI" in os.environ)
    with postgres_server(tools) as url:
        return pytest(ON_POSTGRES, DATABASE_URL=url) or on_sqlite


def pytest(args: Sequence[str], **environ: str) -> int:
    command = [sys.executable, "-m", "pytest", *args]
    return subprocess.run(command, env=os.environ | environ, check=False).returncode


sys.exit(main(sys.argv[1:]))
