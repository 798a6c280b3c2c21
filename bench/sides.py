"""Both sides of a comparison: runs of three no-op steps, and native chains of three no-op tasks."""

from collections.abc import Sequence
from typing import Any, Protocol

from celery import chain, uuid
from django_celery_results.models import TaskResult

from bench.flows.tasks import native_moment
from bench.flows.workflows import three
from parent.models import Run, RunState, Step

__all__ = ["NATIVE", "OURS", "Side"]


class Side(Protocol):
    """One of the two."""

    def start(self) -> str:
        """Start three bodies, one after another; an id."""

    def ended(self) -> int:
        """How many of all that were started have ended well."""

    def moments(self, started: str) -> list[float]:
        """When the three bodies of one start ran, in seconds of the monotonic clock."""


class Ours:
    def start(self) -> str:
        return str(three.start().pk)

    def ended(self) -> int:
        return Run.objects.filter(state=RunState.SUCCESS).count()

    def moments(self, started: str) -> list[float]:
        rows: Any = Step.objects.filter(run_id=started)
        return list(rows.values_list("result", flat=True))


class Native:
    def __init__(self) -> None:
        self._ids: dict[str, Sequence[str]] = {}

    def start(self) -> str:
        ids = [uuid() for _ in range(3)]
        chain(*(native_moment.si().set(task_id=id) for id in ids)).apply_async()
        self._ids[ids[-1]] = ids
        return ids[-1]

    def ended(self) -> int:
        rows = TaskResult.objects.filter(task_name=native_moment.name, status="SUCCESS")
        return rows.count() // 3

    def moments(self, started: str) -> list[float]:
        rows = TaskResult.objects.filter(task_id__in=self._ids[started])
        # They ran one after another, so their order is that of their moments.
        return sorted(float(row.result) for row in rows)


OURS: Side = Ours()
NATIVE: Side = Native()
