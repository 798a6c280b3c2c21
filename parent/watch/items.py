"""What a tick does about mapped steps: it adds up what their items report, and tends the items."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import BigIntegerField, ExpressionWrapper, F, QuerySet
from django.db.models.functions import Now

from parent.decisions.mapping import progress
from parent.decisions.step_pace import pace_after
from parent.messages.publish import publish_steps
from parent.messages.terminate import terminate
from parent.models import Item, ItemCount, Step, StepState
from parent.runs.concurrency import shared_limits
from parent.runs.items import counts
from parent.runs.items.bulk import skip_items, too_many_failed
from parent.runs.items.chunks import fill_places, give_message, wants_places
from parent.runs.items.end_of_item import end_cancelled_item
from parent.runs.items.end_of_step import any_left, close_if_done
from parent.runs.items.feed_state import still_fed
from parent.runs.items.opening import CHECK_INTERVAL
from parent.store.kept_sql import fetch
from parent.store.locks import LockedRuns
from parent.store.run_rows import lock_running
from parent.store.writes.update import update_rows
from parent.telemetry.metrics import metrics
from parent.watch.decide import End, Keep, Mirror, Republish, watch_once
from parent.watch.outcomes import record_tick_outcome
from parent.watch.queries import DUE_BATCH, UNPUBLISHED_LAST, active_items, watched
from parent.watch.republish import Republisher

__all__ = ["add_up", "check_due", "end_lost"]

BATCH = 1_000
OF_STEP = ExpressionWrapper(F("step_id") + 0, BigIntegerField())
"""An item's step as an expression, so that SQLite cannot use the index on `step_id`: with it, it
would read all items of the step. Few of them are marked or due, and these have an index of theirs.
"""
ORPHANED = (
    "SELECT message_id FROM parent_item WHERE step_id = %s AND state IN ('QUEUED', 'RUNNING') "
    "AND message_id IS NOT NULL GROUP BY message_id "
    "HAVING MAX(CASE WHEN state = 'RUNNING' OR due_at IS NOT NULL THEN 1 ELSE 0 END) = 0"
)
"""The messages of which no item runs and none is due to be sent again. The statement reads each
active item once.

The states are in the text, because SQLite takes no index of some rows for states as parameters.
"""
ADDED_UP = (
    *("id", "items", "iteration", "total", "completion", "message", "pace", "paced_since"),
    *("reported_at", "mirrored_at"),
)


def add_up(steps: Sequence[Step], now: datetime) -> None:
    """Write to these locked mapped steps how many of their items are in which state."""
    if not steps:
        return
    ids = [step.pk for step in steps]
    # First: what is added while the sums are read is added up again by the next tick.
    for model in (ItemCount, Item):
        rows: QuerySet[Any] = model._default_manager.all()
        marked = rows.alias(of=OF_STEP).filter(of__in=ids, unmirrored_since__isnull=False)
        free = marked.select_for_update(skip_locked=True, of=("self",)).order_by()
        rows.filter(pk__in=free.values("pk")).update(unmirrored_since=None)
    found, fed = counts.read(steps), still_fed(steps)
    for step in steps:
        more_of = step.fed_by if step.pk in fed else ""
        meta = progress(found[step.pk], step.completion, more_of=more_of)
        step.pace, step.paced_since = pace_after(step, meta, now)
        step.set_meta(meta)
        step.items = found[step.pk].as_dict()
        step.reported_at = step.mirrored_at = now
    update_rows(Step, [{name: getattr(s, name) for name in ADDED_UP} for s in steps], key="id")
    if short := [step.pk for step in steps if wants_places(step, found[step.pk].running)]:
        Step.objects.filter(pk__in=short).update(due_at=now)


def check_due(steps: Sequence[Step], locked: LockedRuns, republisher: Republisher) -> None:
    """Handle the due items of these mapped steps, and what was left undone about the steps."""
    ids = [step.pk for step in steps]
    due = active_items().alias(of=OF_STEP).filter(of__in=ids, due_at__lte=Now())
    to_republish: list[Step | Item] = []
    for item in due.order_by(UNPUBLISHED_LAST, "due_at", "pk")[:DUE_BATCH]:
        if item.run.cancel_requested_at is not None:
            locked.skip_if_locked(partial(_end_cancelled, item))
            continue
        if item.is_in_line:
            locked.skip_if_locked(partial(shared_limits.resume, [item]))
            continue
        match watch_once(watched(item), None, item.db_now):
            case End() as verdict:
                locked.skip_if_locked(partial(_end, item, verdict))
            case Republish():
                to_republish.append(item)
            case Keep(due_at) | Mirror(_, due_at):
                locked.skip_if_locked(partial(_set_due_at, item, due_at))
    if to_republish:
        republisher.check(to_republish)
    for step in steps:
        locked.skip_if_locked(partial(_tend, step), step.run_id)


def _end(item: Any, verdict: End) -> None:
    # Record first: killing the process makes its worker report a lost process.
    if record_tick_outcome(item, verdict.outcome, verdict.retry) is not None:
        terminate(item)


def _end_cancelled(item: Any) -> None:
    end_cancelled_item(str(item.task_id))
    terminate(item)


def _set_due_at(item: Item, due_at: datetime | None) -> None:
    """Set it only if the item is still due: a cancel may have set another time."""
    Item.objects.filter(task_id=item.task_id, due_at__lte=Now()).update(due_at=due_at)


def _tend(step: Step) -> None:
    """Let items wait for a place whose retry is due, fill free places, and see whether any is left.

    A finish that was interrupted, or found rows locked, leaves places free, or a chunk without a
    message.
    """
    with transaction.atomic():
        # So that a signal that comes does not fill the same places either.
        locked = lock_running(step)
        items: list[Item] = []
        if locked is not None and locked.run.cancel_requested_at is None:
            items = _fill(step, locked.now)
    publish_steps(items)
    if close_if_done(step.pk):
        return
    late = Step.objects.filter(pk=step.pk, state=StepState.RUNNING, due_at__lte=Now())
    # What a signal feeds is due again when one comes.
    idle = bool(step.fed_by) and not any_left(step.pk)
    late.update(due_at=None if idle else Now() + CHECK_INTERVAL)


def _fill(step: Step, now: datetime) -> list[Item]:
    if too_many_failed(step):
        if skipped := skip_items(step, now):
            counts.add(step.pk, now, slot=counts.FAILURES, skipped=skipped)
        return []
    delayed = Item.objects.alias(of=OF_STEP).filter(of=step.pk, due_at__lte=Now())
    delayed.filter(state=StepState.WAITING).update(due_at=None)
    publish: list[Item] = []
    # What waits in line has no message yet.
    for message_id in _orphaned(step) if not step.limits else ():
        publish += give_message(step, message_id, now, waited=False)
    return publish + fill_places(step, now)


def _orphaned(step: Step) -> list[str]:
    """The messages that are over, although items of the step wait for them."""
    return [message_id for (message_id,) in fetch(ORPHANED, [step.pk])]


def end_lost(step: Step, dead_since: Any, locked: LockedRuns) -> None:
    """End the attempts of this step's items whose executors have been silent since then."""
    # In no order: for that of the items SQLite would read all of them.
    lost = active_items().filter(step=step, state=StepState.RUNNING).order_by()
    for item in lost.filter(executor__heartbeat_at__lt=dead_since)[:BATCH]:
        verdict = watch_once(watched(item, dead=True), None, item.db_now)
        if isinstance(verdict, End):
            locked.skip_if_locked(partial(_end_lost, item, verdict))


def _end_lost(item: Any, verdict: End) -> None:
    ending = record_tick_outcome(item, verdict.outcome, verdict.retry)
    metrics.count("workflow_leases_lost", by=bool(ending))
