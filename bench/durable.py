"""Runs of three steps in a second, beside DBOS, a durable engine, on the same PostgreSQL.

DBOS runs in one process, with its own defaults. It is installed into a virtual environment of its
own, because nothing else here needs it.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.db import connection

from bench.environment import worker
from bench.figure import Figure, NotMeasured, Skipped
from bench.sides import REPORTING, SILENT
from bench.throughput import all_at_once

__all__ = ["figures"]

FOLDER = Path(settings.BASE_DIR) / ".venv-dbos"
PACKAGES = ("dbos==3.4.0", "psycopg[binary]==3.3.9")
PROGRAM = Path(__file__).with_name("dbos_program.py")
SLOTS = 2
INSTALL_TIMEOUT, RUN_TIMEOUT = 300, 300  # seconds


def figures(*, quick: bool) -> Iterator[Figure | Skipped]:
    try:
        python = installed()
    except (OSError, subprocess.SubprocessError) as exc:
        yield Skipped(name="throughput, DBOS", reason=f"DBOS cannot be installed: {exc}")
        return
    count, rounds = (50, 1) if quick else (150, 3)
    url = database_for_it()
    for kind, (ours, _), wanted in (("reporting", REPORTING, 1.2), ("silent", SILENT, None)):
        theirs, seconds = [], []
        with worker("prefork", SLOTS):
            all_at_once(ours, 10, SLOTS)
            for _ in range(rounds):
                seconds.append(sum(all_at_once(ours, count, SLOTS)))
                theirs.append(seconds_of_dbos(python, url, count, kind))
        rates = count / median(seconds), count / median(theirs)
        yield Figure(
            name=f"throughput, {SLOTS} slots, {kind}",
            ours=f"{rates[0]:.1f} runs/s",
            other=f"DBOS, one process {rates[1]:.1f}/s",
            value=rates[0] / rates[1],
            at_least=wanted,
        )


def installed() -> Path:
    """The Python of an environment that has DBOS; made at the first call on this machine."""
    python = FOLDER / "bin" / "python"
    stamp = FOLDER / "installed"
    if not stamp.exists() or stamp.read_text() != " ".join(PACKAGES):
        commands = (
            [sys.executable, "-m", "venv", "--clear", str(FOLDER)],
            [str(python), "-m", "pip", "install", "--quiet", *PACKAGES],
        )
        for command in commands:
            subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_TIMEOUT)
        stamp.write_text(" ".join(PACKAGES))
    return python


def database_for_it() -> str:
    """A database of its own on the same server; returns its URL."""
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS dbos")
        cursor.execute("CREATE DATABASE dbos")
    return urlunsplit(urlsplit(connection_url())._replace(scheme="postgresql", path="/dbos"))


def connection_url() -> str:
    """The URL of the present connection's server, without a database."""
    options = connection.settings_dict
    return f"postgresql://{options['USER']}@{options['HOST']}:{options['PORT']}/"


def seconds_of_dbos(python: Path, url: str, count: int, kind: str) -> float:
    """The seconds that DBOS took for so many workflows.

    Raises:
        NotMeasured: it failed.
    """
    command = [str(python), str(PROGRAM), url, str(count), kind]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=RUN_TIMEOUT)
    if ran.returncode:
        raise NotMeasured(f"DBOS failed: {ran.stderr[-300:]}")
    return float(ran.stdout.split()[-1])
