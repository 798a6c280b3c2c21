"""Runs on real workers, a real broker and the real database."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from parent.models import Run, Step
from tests.flows.tasks import gates
from tests.workers import Worker

StartWorker = Callable[..., Worker]


@pytest.fixture
def start_worker(transactional_db: None, broker: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Start workers; each is stopped when the test ends, before the database is emptied."""
    started: list[Worker] = []

    def start(*args: str, **environ: str) -> Worker:
        log = tmp_path / f"worker-{len(started)}.log"
        started.append(Worker(broker, log, *args, **environ))
        return started[-1].start()

    yield start
    for worker in started:
        worker.stop()


@pytest.fixture
def worker(start_worker: StartWorker) -> Worker:
    """One worker with one slot."""
    return start_worker("-P", "threads", "-c", "1")


class Gate:
    """Where a gated child of the tests waits."""

    def __init__(self, name: str) -> None:
        self.name = name

    def reached(self, timeout: int = 30) -> int:
        """Wait until a child stands at the gate; its process id."""
        answer: Any = gates().blpop([f"{self.name}:reached"], timeout=timeout)
        assert answer is not None, f"no child reached the gate {self.name}"
        return int(answer[1])

    def open(self) -> None:
        gates().rpush(f"{self.name}:open", 1)


@pytest.fixture
def gate(broker: str) -> Gate:
    return Gate("gate")


def step(run: Run, name: str) -> Step:
    """The row of a run's step, as it is now."""
    return Step.objects.get(run=run, name=name)
