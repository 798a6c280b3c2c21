"""What a child run shows goes to the step, or the item, that it is."""

from collections.abc import Iterable
from datetime import datetime

from parent.models import Item, Run, Step
from parent.store.writes.update import update_rows

__all__ = ["report_up"]


def report_up(runs: Iterable[Run], now: datetime) -> None:
    """Report how far these runs are, where they are child runs, as children report: to their steps,
    or their items.

    The next tick copies it to the run of the step, and so on, one level for each tick. It waits
    for no row: who holds a child run must not wait for a row of its parent.
    """
    rows = [
        {
            "child_run_id": run.pk,
            "iteration": run.iteration,
            "total": run.total,
            "completion": run.completion,
            "message": run.message,
            "reported_at": now,
            "unmirrored_since": now,
        }
        for run in runs
        if run.is_child and not run.ended and run.cancel_requested_at is None
    ]
    changed = "t.state <> 'RUNNING'"
    if rows:
        for model in (Step, Item):
            update_rows(model, rows, key="child_run_id", unless=changed, skip_locked=True)
