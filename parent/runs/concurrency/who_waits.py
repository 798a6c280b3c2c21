"""Who stands in line for a place, since when, and who holds the places: for people to read."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Min

from parent.definition.workflow import registry
from parent.errors import UnknownWorkflow
from parent.models import Place, Run
from parent.runs.concurrency import runs_in_line, shared_limits

__all__ = ["Line", "Standing", "lines", "standings"]

HOLDERS = 5
"""How many that hold a place are named."""
MOST = 10
"""How many attempts of one run are told where they stand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """The line of a limit of steps, or of one key of a workflow.

    Args:
        name: the name of the limit; or the key (`shop=7`), or the workflow if it has no key.
        workflow: empty for a limit of steps.
        use: how much of the limit is used, in words.
        waiting: how many wait for a place.
        since: when the first of these began to wait.
        held_by: the runs that hold a place, or have begun in the period of a rate; at most five,
            the oldest first.
    """

    name: str
    workflow: str
    use: str
    used: int
    waiting: int
    since: datetime | None
    held_by: tuple[UUID, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a run or an attempt stands in a line.

    Args:
        task_id: of the run, or of the attempt.
        step: the name of the step or item; None for the run.
        ahead: how many wait before it.
    """

    task_id: str
    step: str | None
    name: str
    use: str
    ahead: int
    since: datetime
    held_by: tuple[UUID, ...]

    @property
    def text(self) -> str:
        """What it waits for, as the end of a sentence: `gpu (2 of 2 in use)`."""
        return f"{self.name} ({self.use})"


def standings(run_id: UUID, now: datetime) -> list[Standing]:
    """Where this run, or its first attempts in line, stand; empty if nothing of it waits."""
    run = Run.objects.filter(pk=run_id, place_key__isnull=False, has_place=False).first()
    if run is not None:
        if run.ended:
            return []
        line = _of_key(run.workflow, str(run.place_key))
        ahead = runs_in_line.in_line(run.workflow, str(run.place_key))
        return [_standing(line, str(run.pk), None, _before(ahead, run), run.created_at)]
    found = []
    for row in Place.objects.filter(run_id=run_id, taken_at=None).order_by("since", "pk")[:MOST]:
        in_line = shared_limits.waiting(row.name)
        if not in_line.filter(pk=row.pk).exists():
            continue
        before = in_line.filter(since__lt=row.since).count()
        before += in_line.filter(since=row.since, pk__lt=row.pk).count()
        found.append(_standing(_of_limit(row.name, now), row.task_id, row.step, before, row.since))
    return found


def _before(rows: Any, run: Run) -> int:
    earlier: int = rows.filter(created_at__lt=run.created_at).count()
    earlier += rows.filter(created_at=run.created_at, pk__lt=run.pk).count()
    return earlier


def _standing(line: Line, task_id: str, step: str | None, ahead: int, since: datetime) -> Standing:
    return Standing(
        task_id=task_id,
        step=step,
        name=line.name,
        use=line.use,
        ahead=ahead,
        since=since,
        held_by=line.held_by,
    )


def lines(now: datetime, *, at_most: int) -> list[Line]:
    """The lines in which somebody waits. The line with the longest wait comes first."""
    of_steps = Place.objects.filter(taken_at=None).order_by().values_list("name", flat=True)
    found = [_of_limit(name, now) for name in of_steps.distinct()]
    keys = runs_in_line.all_in_line().values_list("workflow", "place_key")
    oldest = keys.annotate(first=Min("created_at")).order_by("first")[:at_most]
    found += [_of_key(workflow, str(key)) for workflow, key, _ in oldest]
    waiting = [line for line in found if line.waiting]
    return sorted(waiting, key=lambda line: line.since or now)[:at_most]


def _of_limit(name: str, now: datetime) -> Line:
    size = shared_limits.current_sizes([name]).get(name)
    taken = shared_limits.in_use(name, size, now)
    used = taken.count()
    row = shared_limits.waiting(name).order_by().aggregate(count=Count("pk"), first=Min("since"))
    return Line(
        name=name,
        workflow="",
        use=size.use(used) if size is not None else "it has no size in WORKFLOW_LIMITS",
        used=used,
        waiting=row["count"],
        since=row["first"],
        held_by=_distinct(taken.values_list("run_id", flat=True)[: 4 * HOLDERS]),
    )


def _of_key(workflow: str, key: str) -> Line:
    holding = runs_in_line.holding(workflow, key)
    used = holding.count()
    row = runs_in_line.in_line(workflow, key).order_by()
    found = row.aggregate(count=Count("pk"), first=Min("created_at"))
    try:
        concurrency = registry.get(workflow).concurrency
    except UnknownWorkflow:
        concurrency = None
    return Line(
        name=key or workflow,
        workflow=workflow,
        use=f"{used} of {concurrency.limit} in use" if concurrency else f"{used} in use",
        used=used,
        waiting=found["count"],
        since=found["first"],
        held_by=_distinct(holding.values_list("pk", flat=True)[:HOLDERS]),
    )


def _distinct(ids: Iterable[UUID]) -> tuple[UUID, ...]:
    return tuple(dict.fromkeys(ids))[:HOLDERS]
