"""Items that are child runs, of a `Map` over a workflow: how they open and end.

Such an item has no message. It is RUNNING while its run goes on. Who ends one frees its place in
one transaction, and fills the free places of the step in another, which only one process does at a
time. None of them locks the run around the step.
"""

import traceback
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from celery.utils.log import get_logger
from django.db import connection, transaction

from children.meta import Meta, error_text
from children.sanitize import clean_traceback
from parent.decisions.mapping import FIRST_PLACES
from parent.definition.workflow import registry
from parent.errors import TransactionEnded
from parent.models import Event, Item, Run, RunState, Step, StepState
from parent.models.fields import META_COLUMNS
from parent.runs.advance import pass_places_on_after_commit
from parent.runs.attempts import ITEM_ATTEMPT_COLUMNS
from parent.runs.endings import end_run, outcome_of, record
from parent.runs.items import counts
from parent.runs.items.bulk import may_fail, skip_items, too_many_failed
from parent.runs.items.chunks import LARGE_OF_ITEM, WAITING, places_left
from parent.runs.items.end_of_item import end_cancelled_item, end_item
from parent.runs.items.end_of_step import close_if_done
from parent.runs.items.rows import read_step
from parent.runs.nested.child import begin_child, run_again, workflow_of
from parent.runs.nested.of_items import try_lock_opening
from parent.runs.new_run import NewRuns
from parent.runs.user_retry.retry import go_on
from parent.store import clock
from parent.store.authors_code import authors_code
from parent.store.kept_sql import fetch, select
from parent.store.outage import OUTAGE
from parent.store.run_rows import lock_run
from parent.store.writes.update import write

__all__ = ["ChildRunsOfItems", "end_item_run", "open_child_runs"]

logger = get_logger(__name__)

MOST_AT_ONCE = FIRST_PLACES
"""Child runs that one transaction opens: each has many rows."""
MOST_MISSES = 2
LOOK_AGAIN_AFTER = timedelta(seconds=1)
"""Until a retry looks again whether the cancelled run of an item has ended."""

SOME_WAIT = f"SELECT 1 FROM parent_item WHERE {WAITING} LIMIT 1"  # noqa: S608 - no input in it
OPENED_COLUMNS = (*ITEM_ATTEMPT_COLUMNS, "child_run_id")
FAILED_COLUMNS = ("state", "finished_at", "traceback", *META_COLUMNS)


class ChildRunsOfItems:
    """Implements `parent.runs.nested.of_items.ItemRuns`."""

    def open(self, step_id: int) -> None:
        try:
            open_child_runs(step_id)
        except OUTAGE as exc:
            logger.warning("step %s: %s; a tick opens its items", step_id, exc)

    def end(self, run_id: UUID) -> bool:
        return end_item_run(run_id)


def open_child_runs(step_id: int) -> int:
    """Open waiting items, as many as there are free places; returns how many.

    If another process opens items of this step, this one does nothing: the other process looks
    again after its commit.
    """
    opened, begun, misses = 0, 0, 0
    while misses < MOST_MISSES and _may_open(step_id) is not None:
        try:
            with transaction.atomic():
                if not try_lock_opening(step_id):
                    break
                found, going = _open_some(step_id)
        except TransactionEnded as exc:
            end_run(exc.run_id, str(exc))
            break
        opened, begun = opened + found, begun + going
        # Nothing opens if another transaction has the waiting items locked, for a short time, or
        # was faster. Then one more look is enough.
        misses = 0 if found else misses + 1
    if opened and not begun:
        close_if_done(step_id)
    return opened


def _may_open(step_id: int) -> tuple[Step, int] | None:
    """The step, and how many of its items may open now; None if none may."""
    step = read_step(step_id)
    if step is None or step.state != StepState.RUNNING or not step.nested:
        return None
    if step.run.cancel_requested_at is not None or not fetch(SOME_WAIT, [step.pk]):
        return None
    if too_many_failed(step):
        return None
    if workflow_of(step) not in registry:
        logger.warning("%s: this worker does not know the workflow %s", step, workflow_of(step))
        return None
    free = places_left(step)
    return (step, free) if free else None


def _open_some(step_id: int) -> tuple[int, int]:
    """Open some items, in the caller's transaction; returns how many it took, and how many of their
    runs have begun.
    """
    found = _may_open(step_id)
    if found is None:
        return 0, 0
    step, free = found
    now = clock.now()
    limit = min(free, MOST_AT_ONCE)
    waiting: list[Item] = select(
        Item,
        f"{WAITING} LIMIT %s",
        [step.pk, limit],
        without=LARGE_OF_ITEM,
        lock=True,
        skip_locked=True,
    )
    for item in waiting:
        item.step = step
    late = [item for item in waiting if not _resume(item, now)]
    new = NewRuns()
    failed = [item for item in waiting if item.state == StepState.WAITING and item not in late]
    failed = [item for item in failed if not _begin(new, item, now)]
    going = [item for item in waiting if item.state == StepState.RUNNING]
    write(going, OPENED_COLUMNS)
    write(failed, FAILED_COLUMNS)
    write(late, ("due_at", "message"))
    if new.runs:
        new.write()
        pass_places_on_after_commit(new.in_line)
    if going:
        counts.add(step.pk, now, opened=len(going))
    if failed:
        _count_failed(step, failed, now)
    return len(waiting), len(going)


def _begin(new: NewRuns, item: Item, now: datetime) -> bool:
    """Let the item begin as a new run; False if its values are not parameters of that workflow."""
    run = item.step.run
    try:
        with authors_code():  # the author's serializer may ask the database
            begin_child(run, item, item.kwargs, now)
    except Exception as exc:
        error = f"Error in the inputs of {item.name}: {error_text(exc)}"
        if isinstance(exc, TransactionEnded):
            raise TransactionEnded(error, run.pk) from exc
        item.state, item.finished_at = StepState.ERROR, now
        item.set_meta(Meta().failed(error))
        item.traceback = clean_traceback(traceback.format_exc())
        return False
    new.add_child(run, item, now)
    return True


def _resume(item: Item, now: datetime) -> bool:
    """Let the item go on with the run that it has, which failed; or leave it, to get a new run.

    Returns:
        False if its run, which was cancelled, has not ended: the item must wait for that.
    """
    locked = None if item.child_run_id is None else lock_run(item.child_run_id)
    if locked is None:
        item.child_run_id = None
        return True
    if not locked.run.ended:
        item.due_at = now + LOOK_AGAIN_AFTER
        item.message = "waits until its cancelled run has ended"
        return False
    run_again(item, now)
    retried = Event.objects.filter(run=item.step.run_id, what="retry").order_by("pk")
    go_on(item, locked, retried.values_list("who", flat=True).last() or "", now)
    return True


def _count_failed(step: Step, failed: Sequence[Item], now: datetime) -> None:
    number = len(failed)
    slot = counts.FAILURES
    total = counts.add(step.pk, now, slot=slot, failed=number, opened=number)
    if total > may_fail(step) and (skipped := skip_items(step, now)):
        counts.add(step.pk, now, slot=slot, skipped=skipped)


def end_item_run(run_id: UUID) -> bool:
    """End the item that this child run is, if that has ended, and fill its place; False if it has
    not ended, or is not an item any more.

    The outcome of the run is that of the item. The run stays due until all of it is done.
    """
    # The item first: if a retry opens the run again meanwhile, the item has another task id.
    key = Run._meta.pk.get_db_prep_value(run_id, connection)
    items = select(Item, "child_run_id = %s", [key], without=(*LARGE_OF_ITEM, "kwargs"))
    item: Item | None = next(iter(items), None)
    step = None if item is None else read_step(item.step_id)
    run: Run | None = next(iter(select(Run, "id = %s", [key], without=("params", "files"))), None)
    if item is None or step is None or run is None or not run.ended:
        return False
    item.step = step
    ended = False
    if item.state == StepState.WAITING:  # after a retry it waits for this end
        Item.objects.filter(pk=item.pk, state=StepState.WAITING).update(due_at=None)
    if item.state == StepState.RUNNING:
        cancelled = item.step.run.cancel_requested_at is not None
        if cancelled and run.state == RunState.REVOKED:
            ended = end_cancelled_item(str(item.task_id))
        else:
            ended = bool(
                record(
                    item.name,
                    str(item.task_id),
                    outcome_of(item, run),
                    has_result=False,
                    expected_state=StepState.RUNNING,
                    end=end_item,
                )
            )
    if not open_child_runs(item.step_id):
        close_if_done(item.step_id)
    # If a retry has opened it meanwhile, it is due for itself.
    Run.objects.filter(pk=run_id, version=run.version).update(due_at=None)
    return ended
