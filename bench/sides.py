"""Both sides of a comparison: runs of three steps, and native chains of three tasks."""

from collections.abc import Sequence
from typing import Any, Protocol

from celery import chain, group, uuid
from django_celery_results.models import TaskResult

from bench.flows.tasks import native_items, native_moment
from bench.flows.workflows import three, three_that_report
from parent import Workflow
from parent.models import Run, RunState, Step

__all__ = ["REPORTING", "SILENT", "Side"]


class Side(Protocol):
    """One of the two sides."""

    def start(self) -> str:
        """Start three bodies, one after another; returns an id."""

    def start_many(self, count: int) -> None:
        """Start so many times three bodies, in one call."""

    def ended(self) -> int:
        """How many of those that were started have succeeded."""

    def moments(self, started: str) -> list[float]:
        """When the three bodies with that id ran, in seconds of the monotonic clock."""


class Ours:
    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow

    def start(self) -> str:
        return str(self._workflow.start().pk)

    def start_many(self, count: int) -> None:
        self._workflow.start_many({} for _ in range(count))

    def ended(self) -> int:
        return Run.objects.filter(state=RunState.SUCCESS).count()

    def moments(self, started: str) -> list[float]:
        rows: Any = Step.objects.filter(run_id=started)
        return list(rows.values_list("result", flat=True))


class Native:
    def __init__(self, task: Any) -> None:
        self._task = task
        self._ids: dict[str, Sequence[str]] = {}

    def start(self) -> str:
        ids = [uuid() for _ in range(3)]
        self._chain(ids).apply_async()
        self._ids[ids[-1]] = ids
        return ids[-1]

    def start_many(self, count: int) -> None:
        group(self._chain([uuid() for _ in range(3)]) for _ in range(count)).apply_async()

    def _chain(self, ids: Sequence[str]) -> Any:
        return chain(*(self._task.si().set(task_id=id) for id in ids))

    def ended(self) -> int:
        rows = TaskResult.objects.filter(task_name=self._task.name, status="SUCCESS")
        return rows.count() // 3

    def moments(self, started: str) -> list[float]:
        rows = TaskResult.objects.filter(task_id__in=self._ids[started])
        # They ran one after another, so sorting by time gives their order.
        return sorted(float(row.result) for row in rows)


REPORTING: tuple[Side, Side] = (Ours(three_that_report), Native(native_items))
"""Ours and the native one, of children that report, as those do that people run."""

SILENT: tuple[Side, Side] = (Ours(three), Native(native_moment))
"""The same of children that report nothing."""
