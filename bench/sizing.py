"""What a run costs: processor time, rows and bytes; and the memory of idle processes.

Processor time, because it is about the same on a machine that other programs use too.
"""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
from celery import current_app
from django.apps import apps
from django.db import connection

from bench.environment import clear, worker
from bench.figure import Figure
from bench.flows.workflows import three
from bench.memory import MEGABYTE
from bench.web import serving
from parent.models import Run, RunState
from tests.waiting import until

__all__ = ["figures"]

STEPS = 3
TABLES_OF = ("parent", "django_celery_results")


def figures(*, quick: bool) -> Iterator[Figure]:
    wanted = 200 if quick else 1000
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        worker("prefork", 2) as running,
        serving(Path(folder)) as (web, _port),
    ):
        for name, pid in (
            ("a worker with two slots", running.process.pid),
            ("a web process", web),
        ):
            yield held(name, psutil.Process(pid))
        run(50)
        clear()
        before = (size(), *seconds(running.process.pid))
        run(wanted)
        after = (size(), *seconds(running.process.pid))
        rows = sum(model._default_manager.count() for model in models())
    bytes_, *used = (a - b for a, b in zip(after, before, strict=True))
    sides = ("worker", "database", "broker")
    costs = ", ".join(
        f"{side} {1e3 * spent / wanted / STEPS:.1f}"
        for side, spent in zip(sides, used, strict=True)
    )
    per_step = sum(used) / wanted / STEPS
    yield Figure(
        name="processor time of a step",
        ours=f"{1e3 * per_step:.1f} ms",
        other=f"{costs}; steps/s and core:",
        value=1 / per_step,
    )
    yield Figure(
        name=f"rows of a run of {STEPS} steps that ended",
        ours=f"{rows / wanted:.1f} rows",
        other="kB, with indexes:",
        value=bytes_ / wanted / 1e3,
    )


def run(wanted: int) -> None:
    for _ in range(wanted):
        three.start()
    good = Run.objects.filter(state=RunState.SUCCESS)
    until(f"{wanted} ends", lambda: good.count() == wanted, timeout=600, every=0.25)


def models() -> Iterable[Any]:
    return [model for label in TABLES_OF for model in apps.get_app_config(label).get_models()]


def held(name: str, process: psutil.Process) -> Figure:
    """Memory; what processes share is counted once."""
    each = [process, *process.children(recursive=True)]
    shares = [one.memory_full_info().pss / MEGABYTE for one in each]
    return Figure(
        name=f"memory of {name}",
        ours=f"{sum(shares):.0f} MB",
        other=", ".join(f"{share:.0f}" for share in shares) + "; processes:",
        value=len(each),
    )


def size() -> int:
    """The bytes of our tables with their indexes."""
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
        names = [model._meta.db_table for model in models()]
        cursor.execute(
            "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name",
            [names],
        )
        return int(cursor.fetchone()[0])


def seconds(pid: int) -> tuple[float, float, float]:
    """Processor time so far: of the worker, of the database, of the broker."""
    own = psutil.Process(pid)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity")
        backends = [psutil.Process(row[0]) for row in cursor.fetchall()]
    with current_app.connection_for_read() as broker:
        channel: Any = broker.default_channel
        usage = channel.client.info("cpu")
    return (
        spent([own, *own.children(recursive=True)]),
        spent(backends),
        float(usage["used_cpu_user"] + usage["used_cpu_sys"]),
    )


def spent(processes: Iterable[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)
