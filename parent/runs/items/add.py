"""Items that come one by one, by a signal, while their step runs."""

from functools import partial
from typing import Any

from django.db import transaction

from parent.decisions.mapping import Frozen
from parent.messages.publish import publish_steps
from parent.models import Item, Step, StepState
from parent.runs.items.bulk import too_many_failed
from parent.runs.items.chunks import fill_places
from parent.runs.items.opening import CHECK_INTERVAL
from parent.store.run_rows import lock_run_row
from parent.store.writes.insert import insert_rows
from parent.store.writes.update import write

__all__ = ["add_item", "fill_free_places"]


def add_item(step: Step, item: Frozen, now: Any) -> None:
    """Add an item to a running step, and open it if a place is free. The run is locked."""
    row = {"index": step.item_total, "key": item.key, "kwargs": item.kwargs}
    insert_rows(Item, {"step": step.pk}, [row])
    shown = dict(step.items or {})
    shown["total"], shown["waiting"] = shown["total"] + 1, shown["waiting"] + 1
    # Child runs open after the commit; if this process dies before, the next tick does it.
    step.items, step.due_at = shown, now if step.nested else now + CHECK_INTERVAL
    write([step], ("items", "due_at"))
    if too_many_failed(step):
        return
    transaction.on_commit(partial(publish_steps, fill_places(step, now)))
    # Whoever ends an item at this moment does not see this one, and its place is not free yet.
    # Both look again after their commits.
    transaction.on_commit(partial(fill_free_places, step.pk))


def fill_free_places(step_id: int) -> None:
    """Open the items that wait although places are free; of a step that a signal feeds."""
    waiting = Item.objects.filter(step=step_id, state=StepState.WAITING, due_at=None)
    run_id = waiting.values_list("step__run_id", flat=True).first()
    if run_id is None:
        return
    with transaction.atomic():
        locked = lock_run_row(run_id)  # so that two do not fill the same places
        if locked is None or locked.run.cancel_requested_at is not None:
            return
        step = Step.objects.filter(pk=step_id, state=StepState.RUNNING).defer("result").first()
        if step is None or too_many_failed(step):
            return
        step.run = locked.run
        items = fill_places(step, locked.now)
        transaction.on_commit(partial(publish_steps, items))
