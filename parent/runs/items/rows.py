"""The row of an item whose attempt ends, with its step: read and locked, or ended at once."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.db import connection

from children.meta import Meta
from parent.models import Item, Run, Step, StepState
from parent.models.fields import META_COLUMNS
from parent.runs.concurrency import shared_limits
from parent.runs.items.chunks import LARGE_OF_ITEM
from parent.store.kept_sql import select
from parent.store.run_rows import LARGE_OF_RUN, LARGE_OF_STEP
from parent.store.writes.one_row import RowChanged, update_row

__all__ = ["lock_item", "read_step", "write_ok"]

STEP_AND_RUN = (
    "(SELECT s.task_id FROM parent_step AS s WHERE s.id = parent_item.step_id "
    "AND s.state = 'RUNNING') AS mapping_id",
    "(SELECT r.cancel_requested_at FROM parent_step AS s JOIN parent_run AS r ON r.id = s.run_id "
    "WHERE s.id = parent_item.step_id) AS cancel_requested_at",
)
"""What may have changed of an item's step and run: whether the step still runs, and the cancel."""
IN_STATE = "task_id = %s AND state || '' IN ({})"
"""The state is an expression, which no index has: see `kept_sql`."""
OTHERS = tuple(
    field.attname
    for field in Item._meta.concrete_fields
    if field.attname not in ("id", "step_id", "message_id")
)
"""Fields that nobody needs of an item that has ended OK."""

_step: Step | None = None
"""The step whose item has ended last in this process. While it is RUNNING with the same task id,
what the end of an item needs of it and of its run stays as it is.
"""


def lock_item(task_id: str, states: Collection[str] = tuple(StepState)) -> Item | None:
    """The item with this attempt, if it is in one of these states and its step runs: locked, and
    with its step, which is not. It has the attributes `db_now` and `cancel_requested_at`.
    """
    rows = select(
        Item, "task_id = %s", [task_id], without=LARGE_OF_ITEM, lock=True, also=STEP_AND_RUN
    )
    for item in rows:
        if item.state in states and _add_step(item):
            found: Item = item
            return found
    return None


def write_ok(task_id: str, outcome: Meta, states: Collection[str]) -> Item | None:
    """End the item with this attempt as OK, if it is in one of these states.

    Returns:
        The item, as `lock_item` does, but with only its primary key, its step and its message id;
        None if the attempt no longer counts.

    Raises:
        RowChanged: its step does not run any more.
    """
    values: dict[str, Any] = {
        "state": StepState.OK,
        "traceback": "",
        "started_at": timedelta(),
        "finished_at": timedelta(),
        "due_at": None,
        "unmirrored_since": None,
        **{name: getattr(outcome, name) for name in META_COLUMNS},
    }
    item: Any = update_row(
        Item,
        values,
        IN_STATE.format(", ".join(["%s"] * len(states))),
        [task_id, *(StepState(state).value for state in states)],
        without=OTHERS,
        also=STEP_AND_RUN,
        if_null="started_at",
    )
    if item is None:
        return None
    if not _add_step(item):
        raise RowChanged(f"the step of {task_id} no longer runs")
    shared_limits.begin_next_after_commit(item.limits)
    ended: Item = item
    return ended


def _add_step(item: Any) -> bool:
    """Set the item's step, as `STEP_AND_RUN` has found it; False if that does not run any more."""
    global _step  # noqa: PLW0603 - one per process
    if item.mapping_id is None:
        return False
    step = _step
    if step is None or (step.pk, step.task_id) != (item.step_id, item.mapping_id):
        step = _step = read_step(item.step_id)
    if step is None or step.task_id != item.mapping_id:
        return False
    item.step = step
    return True


def read_step(step_id: int) -> Step | None:
    """The step, with its run, without what may be large of both; None if it was deleted."""
    for step in select(Step, "id = %s", [step_id], without=LARGE_OF_STEP):
        key = Run._meta.pk.get_db_prep_value(step.run_id, connection)
        for run in select(Run, "id = %s", [key], without=LARGE_OF_RUN):
            step.run = run
            found: Step = step
            return found
    return None
