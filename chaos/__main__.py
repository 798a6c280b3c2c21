"""All faults at once, on real workers: `make chaos [SEED=n MINUTES=m]`, or

    python -m chaos [--seed n] [--minutes m] [--runs n] [--database postgres|sqlite]

The seed determines the schedule of faults. The exit code is 1 if something was lost, doubled, out
of order, or left over.
"""

import argparse
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import django

from chaos.schedule import Fault, schedule
from chaos.servers import Broker, Database, DeadReceiver, Postgres, SQLite
from quickstart import redis as redis_programs
from quickstart.errors import NoRedisServer
from tests.services import postgres_tools


def main(arguments: Sequence[str]) -> int:
    asked = _parse(arguments)
    seed = random.randrange(1_000_000) if asked.seed is None else asked.seed
    faults = schedule(seed, asked.minutes * 60)
    print(f"seed {seed}: {len(faults)} faults in {asked.minutes:g} minutes")
    print(*(f"  {fault}" for fault in faults), sep="\n", flush=True)

    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.chmod(0o755)  # PostgreSQL may have to run as another user
    try:
        good = _run(folder, faults, asked)
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        raise
    if good:
        shutil.rmtree(folder)
        return 0
    print(f"The logs and events are in {folder}.")
    print(f"The same faults again: {_again(seed, asked)}")
    return 1


def _run(folder: Path, faults: Sequence[Fault], asked: argparse.Namespace) -> bool:
    """Set the servers up, run the scenario, print the report; False if something went wrong."""
    broker = Broker(redis_programs.find(), folder)
    database = _database(asked.database, folder)
    receiver = DeadReceiver()
    _use(broker, database, receiver, folder)
    # These need Django's apps, which need the addresses of the servers.
    from chaos.report import as_text  # noqa: PLC0415
    from chaos.scenario import run_scenario  # noqa: PLC0415

    try:
        broker.start()
        database.start()
        report = run_scenario(
            folder, broker, database, faults, runs=asked.runs, seconds=asked.minutes * 60
        )
    finally:
        broker.kill()
        database.stop()
        receiver.close()
    print(as_text(report))
    return report.good


def _again(seed: int, asked: argparse.Namespace) -> str:
    args = f"--database {asked.database} --runs {asked.runs}"
    return f'make chaos SEED={seed} MINUTES={asked.minutes:g} ARGS="{args}"'


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, help="of the schedule (random)")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long faults come (3)")
    parser.add_argument("--runs", type=int, default=1000, help="how many are started (1000)")
    parser.add_argument(
        "--database",
        choices=("postgres", "sqlite"),
        default="postgres" if postgres_tools() else "sqlite",
        help="PostgreSQL if `initdb` is found, else SQLite",
    )
    asked = parser.parse_args(arguments)
    if asked.minutes <= 0 or asked.runs <= 0:
        parser.error("there must be some minutes and some runs: give numbers above 0")
    return asked


def _database(kind: str, folder: Path) -> Database:
    if kind == "sqlite":
        return SQLite(folder)
    tools = postgres_tools()
    if tools is None:
        sys.exit("There is no `initdb` on PATH: install postgresql, or take --database sqlite.")
    return Postgres(tools, folder)


def _use(broker: Broker, database: Database, receiver: DeadReceiver, folder: Path) -> None:
    """Point Django at these servers, here and in the workers."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "chaos.settings",
        "DATABASE_URL": database.url,
        "REDIS_URL": broker.url,
        "DATA_DIR": str(folder),
        "CHAOS_RECEIVER": receiver.url,
        "CHAOS_EVENT_LOG": str(folder / "events"),
    }
    django.setup()
    logging.disable(logging.WARNING)  # here; the workers' own logs are complete


# SIGTERM ends everything that was started, as Ctrl-C does.
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    sys.exit(main(sys.argv[1:]))
except NoRedisServer as exc:
    sys.exit(str(exc))
except KeyboardInterrupt:
    sys.exit("Stopped before the end.")
