"""Opening a mapped step: what `over` gives becomes rows, all or none of them."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from celery import current_app

from parent.conf import setting
from parent.decisions.mapping import Counts, InvalidItems, freeze, outcome, progress
from parent.definition.mapping import Map
from parent.definition.parameters.params import how_to_freeze_params
from parent.definition.workflow import RunData, registry
from parent.definition.workflow import Step as StepDefinition
from parent.models import Item, Run, Step, StepState
from parent.runs.attempts import clear_attempt
from parent.runs.items import counts
from parent.runs.items.feed_state import come_since, still_fed
from parent.runs.nested.child import check_depth, too_deep
from parent.store.writes.insert import insert_rows

__all__ = [
    "CHECK_INTERVAL",
    "freeze_items",
    "how_to_freeze",
    "set_primary_keys",
    "write_items",
]

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
    if not isinstance(definition, Map) or not _fits(step, definition):
        raise InvalidItems(
            "another version of the code has started this run, where the step was a Map: "
            "start a new run"
        )
    deep = too_deep(step.run, step)
    more_of, found = "", Counts(total=0) if step.items is None else Counts.of(step.items)
    if step.fed_by:
        # Nothing can have come for a run that is not written yet.
        is_new = step.run._state.adding
        step.frozen_items = [] if is_new else come_since(step)
        found = replace(found, total=found.total + len(step.frozen_items))
        more_of = step.fed_by if is_new or still_fed([step]) else ""
    elif step.items is None and deep:
        step.frozen_items = []
    elif step.items is None:
        limit = setting("MAP_LIMIT")
        step.frozen_items = freeze(
            _over(definition)(data()),
            limit=int(limit) if limit else None,
            **how_to_freeze(definition),
        )
        found = Counts(total=len(step.frozen_items))
    if step.nested and not deep:
        check_depth(step.run)
    clear_attempt(step)
    step.state, step.task_id = StepState.RUNNING, str(uuid4())
    step.attempt += 1
    step.publish_count = 0
    step.queued_at = step.started_at = now
    # Child runs open after the commit: if this process dies before that, the next tick does it.
    step.due_at = now if step.nested else now + CHECK_INTERVAL
    step.items = found.as_dict()
    step.set_meta(progress(found, more_of=more_of))
    if more_of and found.ended == found.total:
        step.due_at = None  # there is nothing to look after until one comes
    elif found.ended == found.total:
        step.set_meta(outcome(step.name, found, step.tolerate))
        step.state, step.finished_at, step.due_at = StepState.OK, now, None
        step.message = deep or step.message


def _fits(step: Step, definition: Map) -> bool:
    """Whether both take their items from the same place."""
    return definition.over is not None and definition.fed_by == step.fed_by


def _over(definition: Map) -> Callable[[RunData], Any]:
    _, over = definition.reader
    if over is None:
        raise InvalidItems("its `over` is not a function: give one, over=lambda run: [...]")
    return over


def how_to_freeze(definition: Map) -> dict[str, Any]:
    """The options of `freeze` for the items of this Map."""
    task = definition.task_name
    if definition.nested:
        return {"key": definition.key, **how_to_freeze_params(registry.get(definition.nested))}
    return {
        "key": definition.key,
        "argument": _first_argument(task),
        "check_arguments": getattr(current_app.tasks.get(task), "__header__", None),
    }


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
    kept = step.item_total - len(frozen)  # of a step that a signal feeds
    for first in range(0, len(frozen), INSERT_BATCH):
        batch = enumerate(frozen[first : first + INSERT_BATCH], kept + first)
        rows = [{"index": index, "key": item.key, "kwargs": item.kwargs} for index, item in batch]
        insert_rows(Item, {"step": step.pk}, rows)
    if not kept:
        counts.reset(step.pk)


def set_primary_keys(runs: Sequence[Run], steps: Sequence[Step]) -> None:
    """Set the keys of steps that have been inserted without them: items refer to them."""
    rows = Step.objects.filter(run__in=[run.pk for run in runs], chunk__isnull=False)
    keys: dict[tuple[Any, int], int] = {
        (run_id, index): pk for run_id, index, pk in rows.values_list("run_id", "index", "pk")
    }
    for step in steps:
        step.pk = keys[step.run_id, step.index]
