"""Read a run repeatedly until it ends, outside any worker."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db.models.functions import Now

from parent.conf import interval
from parent.models import Item, Run, Step, StepState
from parent.store import leases
from parent.store.outage import retry_while_database_is_down

__all__ = ["Snapshot", "snapshots"]

SHOWN_ITEMS = 5
"""The most items that are shown of a mapped step whose items are runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A run at `now`, by the database's clock. `has_worker`: an executor is alive.

    `inner` has the steps of the runs inside of it, at any depth, by the ids of those runs. If the
    items of a mapped step are runs, only the first ones that go on are included; `items` has these
    items, by the primary keys of the steps.
    """

    run: Run
    steps: tuple[Step, ...]
    now: datetime
    has_worker: bool
    inner: Mapping[UUID, Sequence[Step]] = field(default_factory=dict)
    items: Mapping[int, Sequence[Item]] = field(default_factory=dict)


def snapshots(run_id: UUID) -> Iterator[Snapshot]:
    """Yield the run at every poll interval; the last snapshot is of its end.

    Raises:
        Run.DoesNotExist: there is no such run, or it has been deleted since.
    """
    snapshot = _snapshot(run_id)
    while True:
        yield snapshot
        if snapshot.run.ended:
            return
        time.sleep(interval("POLL_INTERVAL"))
        snapshot = retry_while_database_is_down(
            f"look at the run {run_id}", partial(_snapshot, run_id)
        )


def _snapshot(run_id: UUID) -> Snapshot:
    run = Run.objects.defer("params", "files").annotate(db_now=Now()).get(pk=run_id)
    # After the run: if it has ended, its steps are then read in their final states.
    steps = tuple(_steps([run.pk]))
    inner, items = _inside(steps)
    return Snapshot(
        run=run,
        steps=steps,
        now=run.db_now,
        has_worker=leases.alive().exists(),
        inner=inner,
        items=items,
    )


def _steps(runs: Collection[UUID]) -> Iterable[Step]:
    rows = Step.objects.filter(run__in=runs).order_by("run", "index")
    return rows.defer("kwargs", "checkpoint", "result", "traceback")


def _inside(
    steps: Iterable[Step],
) -> tuple[dict[UUID, Sequence[Step]], dict[int, Sequence[Item]]]:
    """The steps of the runs inside of these steps' run, and the items that are such runs.

    One statement for each level, and one for each running step whose items are runs.
    """
    found: dict[UUID, list[Step]] = {}
    items: dict[int, Sequence[Item]] = {}
    while True:
        for step in steps:
            if step.nested and step.is_mapped and step.state == StepState.RUNNING:
                items[step.pk] = _going(step)
        rows: list[Step | Item] = [*steps, *(i for s in steps for i in items.get(s.pk, ()))]
        level = [row.child_run_id for row in rows if row.child_run_id is not None]
        if not level:
            return dict(found), items
        steps = list(_steps(level))
        for step in steps:
            found.setdefault(step.run_id, []).append(step)


def _going(step: Step) -> list[Item]:
    """The first items of this step whose runs go on."""
    rows = Item.objects.filter(step=step, state=StepState.RUNNING).order_by("index")
    items = list(rows.defer("kwargs", "checkpoint", "result", "traceback")[:SHOWN_ITEMS])
    for item in items:
        item.step = step
    return items
