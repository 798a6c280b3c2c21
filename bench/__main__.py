"""The figures, printed as ratios from one run: `make bench`, or

    python -m bench [--quick] [FIGURE ...]

On SQLite, then on PostgreSQL if it is found, each with its own Redis server and real workers;
`durable`, `crowd` and `sizing` on PostgreSQL only. If a figure cannot be measured, the reason is
printed and the others are still measured. The exit code is 1 if a bound is missed or a figure not
measured.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from quickstart import redis as redis_programs
from quickstart.errors import NoRedisServer
from tests.services import postgres_server, postgres_tools, redis_server

ON_EACH_DATABASE = (
    "handover",
    "throughput",
    "fairness",
    "statements",
    "report",
    "tick",
    "lag",
    "polling",
    "watchers",
    "pages",
    "items",
    "item_rows",
    "item_runs",
    "waiting",
    "places",
)
ON_POSTGRES = ("durable", "crowd", "sizing")
ONCE = ("slots", "track", "csv_table", "logs")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a first impression")
    figures = (*ON_EACH_DATABASE, *ONCE, *ON_POSTGRES)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(figures))
    asked = parser.parse_args(arguments)
    if unknown := set(asked.figures) - set(figures):
        parser.error(f"no such figure: {', '.join(unknown)}; there are: {', '.join(figures)}")
    wanted = asked.figures or figures
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}; ours | other side, ratio")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        first = [name for name in wanted if name not in ON_POSTGRES]
        missed = 0
        if first:
            missed = measure(f"sqlite:///{folder}/db.sqlite3", folder, first, quick=asked.quick)
        again = [name for name in wanted if name not in ONCE]
        tools = postgres_tools()
        if again and tools is None:
            print("PostgreSQL: skipped, for there is no `initdb` on PATH: install postgresql.")
        elif again and tools:
            missed |= on_postgres(tools, folder, again, quick=asked.quick)
    return int(missed > 0)


def on_postgres(tools: Path, folder: str, figures: Sequence[str], *, quick: bool) -> int:
    with ExitStack() as stack:
        try:
            url = stack.enter_context(postgres_server(tools))
        except (OSError, subprocess.SubprocessError) as exc:
            print(f"PostgreSQL: not measured, for it could not be started: {exc}")
            return 1
        return measure(url, folder, figures, quick=quick)


def measure(database_url: str, folder: str, figures: Sequence[str], *, quick: bool) -> int:
    """Measure in a separate process, on this database."""
    with redis_server(redis_programs.find()) as broker_url:
        command = [sys.executable, "-m", "bench.measure", *["--quick"] * quick, *figures]
        environ = {
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            "DATABASE_URL": database_url,
            "REDIS_URL": broker_url,
            "DATA_DIR": folder,
        }
        return subprocess.run(command, env=os.environ | environ, check=False).returncode


try:
    sys.exit(main(sys.argv[1:]))
except NoRedisServer as exc:
    sys.exit(str(exc))
