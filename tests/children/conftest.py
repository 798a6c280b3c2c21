"""A host in memory that records what children report."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from children import AttemptLost, Meta, host
from children.reporting.log_buffer import LogBuffer
from tests.children.celery_app import restored_tasks


class Attempt:
    """Records reports and outcomes. From report number `lost_at` on it no longer counts."""

    report_interval = 0.0
    name = ""

    def __init__(self, lost_at: int | None = None) -> None:
        self.reports: list[Meta] = []
        self.outcomes: list[tuple[Meta, str | None]] = []
        self.lost = False
        self.ended = False
        self.follower: host.Follower | None = None
        self.checkpoint: Any = None
        self.log: LogBuffer | None = None
        self.checkpoints: list[Any] = []
        self._lost_at = lost_at

    def context(self, call: host.Call) -> host.RunContext | None:  # noqa: ARG002
        return None

    def report(self, meta: Meta, checkpoint: Any = None) -> None:
        if self._lost_at is not None and len(self.reports) + 1 >= self._lost_at:
            self.lost = True
            raise AttemptLost
        self.reports.append(meta)
        self.checkpoints.append(checkpoint)

    def report_later(self, seconds: float, read: Callable[[], tuple[Meta, Any]]) -> None:
        pass

    def finish(
        self,
        outcome: Meta,
        traceback: str | None = None,
        error: Exception | None = None,  # noqa: ARG002 - the protocol's
    ) -> bool:
        self.outcomes.append((outcome, traceback))
        self.ended = True
        return True

    def abandon(self) -> None:
        self.abandoned = self.ended = True

    @property
    def outcome(self) -> Meta:
        """The one outcome that was recorded."""
        [(outcome, _)] = self.outcomes
        return outcome

    @property
    def traceback(self) -> str | None:
        [(_, traceback)] = self.outcomes
        return traceback


class MemoryHost:
    """Gives each message the attempt that the test put into its header, once."""

    def __init__(self) -> None:
        self.claimed: list[str] = []

    def claim(
        self,
        task_id: str,
        header: Any,
        *,
        inline: bool,  # noqa: ARG002 - the protocol's
        delivery: host.Delivery | None = None,  # noqa: ARG002
    ) -> host.Attempt | None:
        if task_id in self.claimed:
            return None
        self.claimed.append(task_id)
        attempt: Attempt = header
        return attempt

    def process_died(self, task_id: str, reason: str) -> None:
        raise AssertionError(f"no process should have died, but {task_id}: {reason}")

    def message_failed(self, task_id: str, reason: str) -> None:
        """Every outcome is recorded here, so there is nothing to do."""

    def run(
        self, task: Any, *, attempt: Attempt | None = None, task_id: str = "", **kwargs: Any
    ) -> tuple[Attempt, Any]:
        """Run a child as a step of a run. Returns its attempt and Celery's result."""
        attempt = attempt or Attempt()
        attempt.name = task.name.rpartition(".")[2]
        headers = {host.HEADER: attempt}
        result = task.apply(kwargs=kwargs, task_id=task_id or str(uuid4()), headers=headers)
        return attempt, result


@pytest.fixture
def memory_host(monkeypatch: pytest.MonkeyPatch) -> MemoryHost:
    """Replaces the host of this process."""
    memory_host = MemoryHost()
    monkeypatch.setattr(host, "_host", memory_host)
    return memory_host


@pytest.fixture(autouse=True)
def _tasks_restored() -> Iterator[None]:
    """Remove the tasks that a test registered."""
    with restored_tasks():
        yield
