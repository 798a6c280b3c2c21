"""If another process locks the SQLite file, all writers wait, and no write is lost."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from django.db import connection

from tests.faults.conftest import LEASE, Gate, StartWorker
from tests.faults.test_database import assert_each_ran_once, report_for_a_lease
from tests.flows import faults
from tests.workers import Worker

pytestmark = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="The tests run on PostgreSQL, which locks rows."
)


@contextmanager
def locked() -> Iterator[None]:
    """Hold SQLite's one write lock."""
    name = connection.settings_dict["NAME"]
    with closing(sqlite3.connect(name, isolation_level=None, timeout=10)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.execute("ROLLBACK")


def test_for_longer_than_a_lease(watcher: Worker, start_worker: StartWorker, gate: Gate) -> None:
    for _ in range(2):
        start_worker()
    runs = [faults.held.start(gate=gate.name) for _ in range(2)]
    for _ in runs:
        gate.reached()

    with locked():
        time.sleep(LEASE + 1)

    for run in runs:
        report_for_a_lease(run)
    for _ in runs:
        gate.open()
    assert_each_ran_once(runs)
