"""Opening a mapped step: what `over` gives becomes rows, all or none of them."""

import inspect
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from celery import current_app

from parent.conf import setting
from parent.decisions.mapping import Counts, InvalidItems, freeze, outcome, progress
from parent.definition.mapping import Map
from parent.definition.workflow import RunData
from parent.definition.workflow import Step as StepDefinition
from parent.models import Item, Run, Step, StepState
from parent.runs.attempts import clear_attempt
from parent.runs.items import counts
from parent.store.writes import insert_rows

__all__ = ["CHECK_INTERVAL", "freeze_items", "set_primary_keys", "write_items"]

INSERT_BATCH = 1_000
"""Rows that are converted at a time, so that memory does not grow with the number of items."""
CHECK_INTERVAL = timedelta(seconds=30)
"""How often a tick looks whether something of a mapped step was left undone."""


def freeze_items(
    step: Step, definition: StepDefinition, data: Callable[[], RunData], now: datetime
) -> None:
    """Make the mapped step RUNNING, with the items that `over` gives, in memory.

    A retry keeps the items that the step has. A step of which no item is left to run is OK at once.

    Raises:
        InvalidItems: what `over` gave cannot become items. What it raises passes through.
    """
    if not isinstance(definition, Map) or definition.over is None:
        raise InvalidItems(
            "another version of the code has started this run, where the step was a Map: "
            "start a new run"
        )
    if step.items is None:
        limit = setting("MAP_LIMIT")
        step.frozen_items = freeze(
            definition.over(data()),
            limit=int(limit) if limit else None,
            key=definition.key,
            argument=_first_argument(step.task),
            check_arguments=getattr(current_app.tasks.get(step.task), "__header__", None),
        )
        found = Counts(total=len(step.frozen_items))
    else:
        found = Counts.of(step.items)
    clear_attempt(step)
    step.state, step.task_id = StepState.RUNNING, str(uuid4())
    step.attempt += 1
    step.publish_count = 0
    step.queued_at = step.started_at = now
    step.due_at = now + CHECK_INTERVAL
    step.items = found.as_dict()
    step.set_meta(progress(found))
    if found.ended == found.total:
        step.set_meta(outcome(step.name, found, step.tolerate))
        step.state, step.finished_at, step.due_at = StepState.OK, now, None


def _first_argument(task: str) -> str | None:
    """The name of the child's first input; None if it has none, or is not registered here."""
    header = getattr(current_app.tasks.get(task), "__header__", None)
    if header is None:
        return None
    return next(iter(inspect.signature(header).parameters), None)


def write_items(step: Step) -> None:
    """Write the items of a mapped step that opens, in the caller's transaction."""
    frozen, step.frozen_items = step.frozen_items, None
    if frozen is None:
        return
    for first in range(0, len(frozen), INSERT_BATCH):
        batch = enumerate(frozen[first : first + INSERT_BATCH], first)
        rows = [{"index": index, "key": item.key, "kwargs": item.kwargs} for index, item in batch]
        insert_rows(Item, {"step": step.pk}, rows)
    counts.reset(step.pk)


def set_primary_keys(runs: Sequence[Run], steps: Sequence[Step]) -> None:
    """Set the keys of steps that have been inserted without them: items refer to them."""
    rows = Step.objects.filter(run__in=[run.pk for run in runs], chunk__isnull=False)
    keys: dict[tuple[Any, int], int] = {
        (run_id, index): pk for run_id, index, pk in rows.values_list("run_id", "index", "pk")
    }
    for step in steps:
        step.pk = keys[step.run_id, step.index]
