"""The time of a signal or an approval is over."""

from functools import partial

from django.db import transaction

from parent.models import Step, StepState
from parent.runs.advance import advance
from parent.runs.endings import END_COLUMNS, end_step
from parent.runs.items.end_of_step import close_if_done
from parent.runs.signals.feed_items import end_feeding
from parent.runs.signals.opening import late_text
from parent.runs.transitions import mark_skipped
from parent.store.run_rows import lock_run
from parent.store.writes.one_row import RowChanged, write_if

__all__ = ["expire"]

SKIPPED_LATE = (*END_COLUMNS, "unneeded")


def expire(step: Step) -> bool:
    """End a step whose time to wait is over; False if something has come meanwhile.

    An arrival locks the run too, and both write the row only while it is RUNNING.
    """
    try:
        with transaction.atomic():
            locked = lock_run(step.run_id)
            row = locked and next((each for each in locked.steps if each.pk == step.pk), None)
            if locked is None or row is None or not _is_over(row, step):
                return False
            fed = next((s for s in locked.steps if s.fed_by == row.name), None)
            if row.on_timeout == "skip" and fed is not None:
                end_feeding(locked, row.pk, fed.pk, late_text(row))
                return True
            if fed is not None:
                transaction.on_commit(partial(close_if_done, fed.pk))
            if row.on_timeout != "skip":
                end_step(row, row.meta.failed(late_text(row)), "", locked.now)
            else:
                mark_skipped([row], locked.now, {row.name: late_text(row)}, [row.name])
                row.unmirrored_since = None
                write_if(row, SKIPPED_LATE, expected_state=StepState.RUNNING)
            advance(locked.run, locked.steps, locked.now)
    except RowChanged:
        return False
    return True


def _is_over(row: Step, read: Step) -> bool:
    """Whether the row is still the attempt that was due: a retry may have asked anew."""
    return row.state == StepState.RUNNING and row.task_id == read.task_id
