"""The environment of the measurements: database, workers, and clean-up."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import QuerySet
from django_celery_results.models import TaskResult

from bench.figure import NotMeasured
from bench.flows.tasks import broker, hold
from parent.models import Attempt, Executor, Item, Place, Run, Step, WatchLease
from tests.workers import Worker

__all__ = ["clear", "held_slots", "running", "start_over", "worker"]


def database() -> str:
    """The database and its version."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT sqlite_version()")
            return f"SQLite {cursor.fetchone()[0]}"
        cursor.execute("SHOW server_version")
        return f"PostgreSQL {cursor.fetchone()[0].split()[0]}"


def running() -> str:
    """The settings under which both sides run."""
    return (
        f"{database()}, result backend {settings.CELERY_RESULT_BACKEND}, Redis broker, "
        f"CELERY_DB_REUSE_MAX={current_app.conf.get('CELERY_DB_REUSE_MAX')}, "
        f"worker_disable_prefetch={current_app.conf.worker_disable_prefetch}, "
        f"task events={current_app.conf.worker_send_task_events}, the same worker for both sides"
    )


@contextmanager
def worker(pool: str, slots: int, **environ: str) -> Iterator[Worker]:
    """A real worker. After it has stopped, no rows and messages are left."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        started = Worker(
            settings.CELERY_BROKER_URL,
            Path(folder) / "worker.log",
            *("-P", pool, "-c", str(slots)),
            DJANGO_SETTINGS_MODULE=os.environ["DJANGO_SETTINGS_MODULE"],
            **environ,
        )
        try:
            yield started.start()
        finally:
            started.stop()
            clear()


@contextmanager
def held_slots(slots: int) -> Iterator[None]:
    """A context that keeps the worker's slots busy: published messages wait."""
    server = broker()
    for _ in range(slots):
        hold.delay()
    try:
        for _ in range(slots):
            if not server.blpop(["held"], timeout=30):
                raise NotMeasured("the worker took no slot within 30 s")
        yield
    finally:
        server.rpush("let-go", *range(slots))


def clear() -> None:
    """Empty the broker and the tables."""
    broker().flushall()
    for model in (Attempt, Item, Place):  # many rows, to which nothing else refers then
        rows: QuerySet[Any] = model._default_manager.all()
        rows._raw_delete(rows.db)
    Step.objects.all().delete()
    Run.objects.all().delete()
    TaskResult.objects.all().delete()


def start_over() -> None:
    """Delete what an interrupted part has left. No worker may run."""
    connection.close()  # it may be in the middle of a statement
    clear()
    Executor.objects.all().delete()
    WatchLease.objects.all().delete()
    User.objects.all().delete()
