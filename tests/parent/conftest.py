"""Fixtures: a run of two steps, and this process as its worker."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from children.meta import Meta
from parent import Step as StepDefinition
from parent import Workflow
from parent.definition.workflow import registry
from parent.messages.publish import attempt_header
from parent.models import Executor, Run, Step
from parent.runs.start import start
from parent.store import leases
from parent.worker.host import ParentHost
from parent.worker.running_attempt import RunningAttempt
from tests.flows import tasks

__all__ = ["claimed", "fail", "one"]


@pytest.fixture
def started() -> Iterator[Callable[..., Run]]:
    """A function that starts a run of two steps, the first with these options."""

    def start_one(**options: Any) -> Run:
        steps = [StepDefinition(tasks.noop, name="one", **options), StepDefinition(tasks.noop)]
        return start(Workflow("attempted", steps=steps), {})

    yield start_one
    registry._workflows.pop("attempted", None)


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> Executor:
    """This process as a worker."""
    row = Executor.objects.create(host="here", pid=7)
    monkeypatch.setattr(leases, "_this", row.pk)
    return row


def one(run: Run) -> Step:
    return Step.objects.select_related("run").get(run=run, name="one")


def claimed(run: Run) -> RunningAttempt:
    step = one(run)
    attempt = ParentHost().claim(str(step.task_id), attempt_header(step))
    assert attempt is not None
    return attempt


def fail(attempt: RunningAttempt, error: Exception | None = None) -> bool:
    return attempt.finish(Meta().failed("Error in one: bad"), "where", error or ValueError("bad"))
