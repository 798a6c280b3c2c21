"""The end of a mapped step, once none of its items is left.

Whoever ends an item and opens no other looks after its commit, and a tick does, for those who died
in between. Several may look at once: the state of the step lets one of them end it.
"""

from django.db import transaction

from children.sanitize import one_line
from parent.decisions.mapping import NAMED, outcome
from parent.models import IS_ACTIVE, Item, Step, StepState
from parent.runs.endings import end_cancelled, record
from parent.runs.following.hand_over import HandOver
from parent.runs.items import counts
from parent.runs.items.bulk import cancel_items, too_many_failed
from parent.runs.items.feed_state import still_fed
from parent.runs.items.rows import read_step
from parent.store.kept_sql import fetch
from parent.store.run_rows import lock_running

__all__ = ["any_left", "close_if_done"]

OF_STEP = "SELECT 1 FROM parent_item WHERE step_id = %s AND"
LEFT = (
    f"{OF_STEP} state IN ('QUEUED', 'RUNNING') UNION ALL "
    f"{OF_STEP} state = 'WAITING' AND due_at IS NULL UNION ALL "
    f"{OF_STEP} state = 'WAITING' AND due_at IS NOT NULL LIMIT 1"
)
"""The first two have an index each. The last is only asked if these find nothing: it is for what
waits for the delay of a retry.
"""


def close_if_done(step_id: int, *, hand_over: HandOver | None = None) -> bool:
    """End the step if none of its items is left; False if one is, or if the step has ended.

    Args:
        hand_over: may claim a step that opens for this process.
    """
    step = read_step(step_id)
    if step is None or step.state != StepState.RUNNING:
        return False
    if step.run.cancel_requested_at is not None:
        return _close_cancelled(step)
    late = None
    if step.fed_by:
        # First: nothing comes any more when the signal has ended, so all items are seen below.
        if still_fed([step]) and not too_many_failed(step):
            return False
        signals = Step.objects.filter(run=step.run_id, name=step.fed_by)
        late = signals.values_list("error", flat=True).first()
        step.refresh_from_db(fields=["items"])
    if any_left(step.pk):
        return False
    failed = Item.objects.filter(step=step, state=StepState.ERROR).order_by("index")
    first = [one_line(error or "") for error in failed.values_list("error", flat=True)[:NAMED]]
    end = outcome(step.name, counts.read_one(step), step.tolerate, first)
    if late and end.error is None:
        end = end.failed(f"Error in {step.name}: {late.removeprefix('Error in ')}")
    ended = record(
        step.name,
        str(step.task_id),
        end,
        has_result=False,
        expected_state=StepState.RUNNING,
        hand_over=hand_over,
    )
    return bool(ended)


def any_left(step_id: int) -> bool:
    """Whether an item of the step has not ended."""
    return bool(fetch(LEFT, [step_id] * 3))


def _close_cancelled(step: Step) -> bool:
    """End the step of a cancelled run if none of its items runs.

    A finish may have opened an item while the cancel was written: such items are cancelled here.
    """
    with transaction.atomic():
        locked = lock_running(step)
        if locked is None or locked.run.cancel_requested_at is None:
            return False
        cancel_items(step, locked.now)
    if Item.objects.filter(IS_ACTIVE, step=step, state=StepState.RUNNING).exists():
        return False
    return end_cancelled(str(step.task_id))
