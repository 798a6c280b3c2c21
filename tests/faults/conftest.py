"""Workers for fault tests: short leases, killed at the end."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from parent.models import WatchLease
from tests.system.conftest import Gate, gate
from tests.waiting import until
from tests.workers import Worker

__all__ = ["Gate", "StartWorker", "gate"]

StartWorker = Callable[..., Worker]

LEASE = 2.0
SHORT = {"WORKFLOW_LEASE": str(LEASE), "WORKFLOW_HEARTBEAT": "0.5", "WORKFLOW_POLL_INTERVAL": "0.2"}


@pytest.fixture
def start_worker(transactional_db: None, broker: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Start workers of one slot; each is killed when the test ends, if it still lives."""
    started: list[Worker] = []

    def start(pool: str = "threads", *args: str, slots: int = 1, **environ: Any) -> Worker:
        log = tmp_path / f"worker-{len(started)}.log"
        # A unique name, or two would answer the same remote commands.
        name = f"worker-{len(started)}@%h"
        options = ("-P", pool, "-c", str(slots), "-n", name, *args)
        started.append(Worker(broker, log, *options, **(SHORT | environ)))
        return started[-1].start()

    yield start
    for worker in started:
        # SIGKILL also ends stopped processes, and workers whose body waits at a gate.
        with suppress(ProcessLookupError):
            os.killpg(worker.process.pid, signal.SIGKILL)
        worker.stop()


def until_watched() -> None:
    """Wait until the first worker holds the watch; it keeps it from those that start later."""
    until("the watch", WatchLease.objects.filter(holder__isnull=False).exists)


@pytest.fixture
def watcher(start_worker: StartWorker) -> Worker:
    """A worker that ticks but runs no steps, so that the watch survives the death of others."""
    worker = start_worker("threads", "-Q", "aside")
    until_watched()
    return worker
