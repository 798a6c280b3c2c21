"""Fixtures: a workflow with schedules, and rows whose next time has come."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework import serializers

from parent import Schedule, Step, Workflow
from parent.models import Run, RunState
from parent.models import Schedule as Row
from parent.schedules import ticks
from parent.schedules.sync import sync
from tests.flows import tasks

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """One tick has time for all schedules of a test, however busy the machine is."""
    monkeypatch.setattr(ticks, "BUDGET", 60.0)


class HourParams(serializers.Serializer[Any]):
    """What the scheduled workflow takes."""

    limit = serializers.IntegerField(min_value=1, default=1)


@pytest.fixture
def declare(own_registry: None, db: None) -> Callable[..., None]:
    """A function that declares the workflow `hourly` with these schedules, as a new code does."""

    def one(*schedules: Schedule, name: str = "hourly") -> None:
        from parent.definition.workflow import registry

        registry._workflows.pop(name, None)
        Workflow(
            name, params=HourParams, steps=[Step(tasks.noop, inputs=no_inputs)], schedules=schedules
        )

    return one


def no_inputs(run: Any) -> dict[str, Any]:
    return {}


@pytest.fixture
def hourly(declare: Callable[..., None]) -> Callable[..., Row]:
    """A function that makes a schedule of every hour, due at noon."""

    def one(**options: Any) -> Row:
        declare(Schedule("0 * * * *", **options))
        sync()
        Row.objects.update(next_at=NOON, due_at=NOON)
        return Row.objects.get()

    return one


def end(run: Run) -> None:
    """End a run as a tick does."""
    Run.objects.filter(pk=run.pk).update(
        state=RunState.SUCCESS, finished_at=datetime.now(UTC), due_at=None
    )


def at(minutes: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=minutes)
