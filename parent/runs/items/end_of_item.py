"""The end of an item's attempt: one transaction, which locks neither the run nor the step.

It passes the item's place on: to the next item of the chunk, or to the next chunk.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from celery.utils.log import get_logger
from django.db import transaction

from children.meta import Meta
from children.sanitize import clean_text, clean_traceback
from parent.messages.publish import is_publishing_off, publish_steps
from parent.models import Item, Step, StepState
from parent.runs.attempts import ITEM_ATTEMPT_COLUMNS, archive, clear_attempt, queue_attempt
from parent.runs.automatic_retry import RetryDecision, retry_at, with_attempt_count
from parent.runs.concurrency import shared_limits
from parent.runs.endings import Ending, end_attempt, end_step
from parent.runs.following.hand_over import HandOver
from parent.runs.items import counts
from parent.runs.items.add import fill_free_places
from parent.runs.items.bulk import may_fail, skip_items, too_many_failed
from parent.runs.items.chunks import (
    claim_next,
    claim_next_of_chunk,
    give_message,
    next_of_chunk,
    open_chunks,
)
from parent.runs.items.end_of_step import close_if_done
from parent.runs.items.rows import lock_item, write_ok
from parent.store import results
from parent.store.outage import OUTAGE, retry_while_database_is_down
from parent.store.writes.one_row import RowChanged, write_if

__all__ = ["end_cancelled_item", "end_item", "end_of"]

logger = get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """What an end has done.

    `step`: look whether it has any item left. `fed`: a signal feeds it, and a place of it is free.
    """

    ending: Ending
    step: Step | None = None
    fed: Step | None = None


DROPPED = Ended(ending=Ending.DROPPED)


def end_item(
    task_id: str,
    outcome: Meta,
    traceback: str | None = None,
    *,
    has_result: bool = False,
    retry: RetryDecision | None = None,
    expected_state: str | None = None,
    hand_over: HandOver | None = None,
) -> Ending:
    """Record the outcome of an item's attempt, once; see `endings.end_attempt`.

    If no item of the step is left, the step ends too, in a transaction after that.
    """
    try:
        with transaction.atomic():
            ended = _end_item(
                task_id, outcome, clean_traceback(traceback or ""), retry, expected_state, hand_over
            )
            if has_result:
                results.delete([task_id])
    except RowChanged:
        return Ending.DROPPED
    if ended.fed is not None:
        _fill(ended.fed)
    if ended.step is not None:
        _close(ended.step, hand_over)
    return ended.ending


def _fill(step: Step) -> None:
    try:
        fill_free_places(step.pk)
    except OUTAGE as exc:  # as below
        logger.warning("%s: %s; a tick will fill its places", step.name, exc)


def _close(step: Step, hand_over: HandOver | None) -> None:
    try:
        close_if_done(step.pk, hand_over=hand_over)
    except OUTAGE as exc:
        # The item's end is recorded. It must not be taken for one that is not.
        logger.warning("%s: %s; a tick will see whether it has ended", step.name, exc)
        if hand_over is not None and hand_over.taken is not None:
            what = f"see what follows {step.name}"
            hand_over.taken = retry_while_database_is_down(what, hand_over.committed)


def end_of(row: Step | Item) -> Callable[..., Ending]:
    """The function that ends an attempt of this row, for `endings.record`."""
    return end_item if isinstance(row, Item) else end_attempt


def _end_item(
    task_id: str,
    outcome: Meta,
    traceback: str,
    retry: RetryDecision | None,
    expected_state: str | None,
    hand_over: HandOver | None,
) -> Ended:
    is_ok = outcome.error is None
    states = Item.ACTIVE if expected_state is None else (expected_state,)
    item = write_ok(task_id, outcome, states) if is_ok else lock_item(task_id, states)
    if item is None:
        return DROPPED
    step, now = item.step, item.db_now  # type: ignore[attr-defined]  # as `cancel_requested_at`
    if hand_over is not None:
        # Not before: after an error of the database an earlier try may have been committed.
        hand_over.taken = None
    cancelled = item.cancel_requested_at is not None  # type: ignore[attr-defined]
    # What has ended OK has begun.
    message_id, waited = item.message_id, not is_ok and item.state == StepState.QUEUED
    at = None
    if not (is_ok or cancelled or too_many_failed(step)):
        at = retry_at(item, retry, now)
    changes: dict[str, int] = {}
    slot, exceeded = None, False
    if at is not None:
        item.retries_used += retry.counts if retry is not None else 0
        _retry(item, outcome, traceback, at, now)
        changes["opened"] = -1
    elif is_ok:
        changes["ok"] = 1
    else:
        end_step(item, with_attempt_count(item, retry, outcome), traceback, now)
        slot = counts.FAILURES
        failed = counts.add(step.pk, now, slot=slot, failed=1)
        exceeded = failed > may_fail(step)
        if exceeded and (skipped := skip_items(step, now)):
            changes["skipped"] = skipped
    goes_on, has_free = at is not None, False
    if not (cancelled or exceeded or step.nested):
        opened, more = _pass_on(item, message_id, now, waited, hand_over)
        goes_on, has_free = goes_on or more, bool(step.fed_by) and not more
        if opened:
            changes["opened"] = changes.get("opened", 0) + opened
    if changes:
        # The last row that is locked: see `counts`. After a failure its own slot is locked already.
        counts.add(step.pk, now, slot=slot, **changes)
    ending = Ending.ENDED if at is None else Ending.RETRIED
    if step.nested:
        return Ended(ending=ending)  # who ended its run looks at the step
    return Ended(ending=ending, step=None if goes_on else step, fed=step if has_free else None)


def _retry(item: Item, failure: Meta, traceback: str, at: datetime, now: datetime) -> None:
    """Let the item wait for a place again; before `at` it takes none.

    Raises:
        RowChanged: its state has changed.
    """
    expected_state = item.state
    item.set_meta(failure)
    item.traceback = traceback
    archive([copy(item)], now)
    clear_attempt(item)
    item.due_at = at if at > now else None
    item.message = clean_text(f"retry {item.retries_used} of {item.retries} after: {failure.error}")
    write_if(item, ITEM_ATTEMPT_COLUMNS, expected_state=expected_state)
    shared_limits.begin_next_after_commit(item.limits)


def _pass_on(
    item: Item, message_id: str | None, now: datetime, waited: bool, hand_over: HandOver | None
) -> tuple[int, bool]:
    """Pass the place on. Returns how many items were opened, and whether any item goes on."""
    step = item.step
    if message_id is None:
        return 0, False  # it held no place
    if (step.chunk or 1) > 1:
        if _go_on(item, message_id, now, waited, hand_over):
            return 0, True
    elif hand_over is not None and not step.limits:
        following = Item(step=step)
        queue_attempt(following, now)
        if hand_over.take(item, [following], now):
            if claim_next(following):
                return 1, True
            hand_over.taken = None
            return 0, False
    heads, opened = open_chunks(step, 1, now, hand_over=hand_over, ended=item)
    _publish(heads)
    return opened, opened > 0


def _go_on(
    item: Item, message_id: str, now: datetime, waited: bool, hand_over: HandOver | None
) -> bool:
    """Let the rest of the item's chunk go on, here or by a message; False if there is none."""
    following = Item(step=item.step)
    if hand_over is not None and hand_over.take(item, [following], now, same_chunk=True):
        if claim_next_of_chunk(message_id, following):
            return True
        hand_over.taken = None
        return False
    if is_publishing_off():
        return next_of_chunk(item.step, message_id) is not None
    rest = give_message(item.step, message_id, now, waited=waited)
    _publish(rest)
    return bool(rest)


def _publish(items: list[Item]) -> None:
    items = [item for item in items if item.publish_count]
    if items:
        transaction.on_commit(partial(publish_steps, items))


def end_cancelled_item(task_id: str) -> bool:
    """End a running item of a cancelled run as CANCELLED; False if it is not running any more."""
    try:
        with transaction.atomic():
            item = lock_item(task_id)
            if item is None or item.cancel_requested_at is None:  # type: ignore[attr-defined]
                return False
            now = item.db_now  # type: ignore[attr-defined]  # as `cancel_requested_at`
            outcome = item.meta.failed(f"{item.name} was cancelled")
            end_step(item, outcome, "", now, StepState.CANCELLED)
            counts.add(item.step.pk, now, slot=counts.FAILURES, cancelled=1)
            results.delete([task_id])
    except RowChanged:
        return False
    close_if_done(item.step.pk)
    return True
