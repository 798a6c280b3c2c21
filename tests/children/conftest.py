"""An engine in memory, and what children report to it."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from children import AttemptLost, Meta, host
from tests.children.celery_app import restored_tasks


class Attempt:
    """Keeps what it is told; from report number `lost_at` on it no longer counts."""

    report_interval = 0.0
    name = ""

    def __init__(self, lost_at: int | None = None) -> None:
        self.reports: list[Meta] = []
        self.outcomes: list[tuple[Meta, str | None]] = []
        self.lost = False
        self._lost_at = lost_at

    def report(self, meta: Meta) -> None:
        if self._lost_at is not None and len(self.reports) + 1 >= self._lost_at:
            self.lost = True
            raise AttemptLost
        self.reports.append(meta)

    def finish(
        self,
        outcome: Meta,
        traceback: str | None = None,
        error: Exception | None = None,  # noqa: ARG002 - the protocol's
    ) -> bool:
        self.outcomes.append((outcome, traceback))
        return True

    def abandon(self) -> None:
        self.abandoned = True

    @property
    def outcome(self) -> Meta:
        """The one outcome that was recorded."""
        [(outcome, _)] = self.outcomes
        return outcome

    @property
    def traceback(self) -> str | None:
        [(_, traceback)] = self.outcomes
        return traceback


class Engine:
    """Gives each message the attempt that a test has put into it, once."""

    def __init__(self) -> None:
        self.claimed: list[tuple[str, str]] = []

    def claim(
        self,
        task_id: str,
        task_name: str,
        header: Any,
        *,
        inline: bool,  # noqa: ARG002 - the protocol's
    ) -> host.Attempt | None:
        if (task_id, task_name) in self.claimed:
            return None
        self.claimed.append((task_id, task_name))
        attempt: Attempt = header
        attempt.name = task_name.rpartition(".")[2]
        return attempt

    def lost(self, task_id: str, reason: str) -> None:
        raise AssertionError(f"nothing dies here, and yet {task_id}: {reason}")

    def over(self, task_id: str, reason: str) -> None:
        """Nothing is left over here."""

    def run(
        self, task: Any, *, attempt: Attempt | None = None, task_id: str = "", **kwargs: Any
    ) -> tuple[Attempt, Any]:
        """Run a child as a step of a run; returns its attempt and Celery's own result."""
        attempt = attempt or Attempt()
        headers = {host.HEADER: attempt}
        answer = task.apply(kwargs=kwargs, task_id=task_id or str(uuid4()), headers=headers)
        return attempt, answer


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine of this process, in place of the real one."""
    made = Engine()
    monkeypatch.setattr(host, "_engine", made)
    return made


@pytest.fixture(autouse=True)
def _tasks_restored() -> Iterator[None]:
    """Tasks that a test makes are gone after it."""
    with restored_tasks():
        yield
