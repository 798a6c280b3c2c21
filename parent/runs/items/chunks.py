"""Places of a mapped step, and the chunks of items that take them.

A place is a message that is queued or at work. The finish of a chunk passes its place on to the
next chunk, so finishes never need more places than there are; a tick fills those that got lost.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q

from parent.decisions.mapping import FIRST_PLACES, places
from parent.messages.publish import first_batch, republish_after
from parent.models import IS_ACTIVE, Item, Step, StepState
from parent.runs.attempts import ATTEMPT_COLUMNS, queue_attempt
from parent.runs.concurrency import shared_limits
from parent.runs.following.hand_over import HandOver
from parent.runs.items import counts
from parent.runs.items.opening import write_items
from parent.runs.nested.of_items import item_runs
from parent.store.kept_sql import fetch, select
from parent.store.writes.one_row import update_first
from parent.store.writes.update import write

__all__ = [
    "LARGE_OF_ITEM",
    "claim_next",
    "claim_next_of_chunk",
    "fill_places",
    "give_message",
    "next_of_chunk",
    "open_chunks",
    "open_items",
    "places_left",
    "wants_places",
]

LARGE_OF_ITEM = ("checkpoint", "result", "traceback")
"""Fields that may be large and that most transitions do not need."""
MOST_AT_ONCE = 10_000
"""Items that one transaction opens; a tick opens more."""

OPEN_COLUMNS = (
    *("state", "task_id", "message_id", "publish_count", "due_at", "queued_at"),
    *("claim", "executor_id", "started_at"),
)
"""What opening an item writes, the number of its attempt apart."""
CLAIM_COLUMNS = (
    *("state", "message_id", "claim", "executor_id", "started_at", "publish_count", "due_at"),
)
"""What the claim of an item writes."""
QUEUE_COLUMNS = (
    *("state", "task_id", "message_id", "publish_count", "due_at", "queued_at", "attempt"),
)
"""What opening an item writes if no process claims it. A waiting item has no claim to clear."""
NOT_READ = ("checkpoint", *(n for n in ATTEMPT_COLUMNS if n not in ("task_id", "queued_at")))
"""Fields that are not read when an item opens or is claimed. In memory they keep the values that
the code here gives the new attempt.
"""

WAITING = "step_id = %s AND state = 'WAITING' AND due_at IS NULL ORDER BY \"index\""
ACTIVE_RUNS = (
    "SELECT COUNT(*), COUNT(reported_at) FROM parent_item "
    "WHERE step_id = %s AND state IN ('QUEUED', 'RUNNING')"
)
"""How many child runs of items go on, and how many of these have begun: have said anything."""
REST = (
    "message_id = %s AND state = 'QUEUED' AND state IN ('QUEUED', 'RUNNING') "
    'AND step_id + 0 = %s ORDER BY "index"'
)
"""The step is an expression, so that no index on it can be used: with one, the database would read
the items of the step in order until it finds the right one. The second condition on `state` repeats
that of the partial index of messages, because SQLite uses the index only then.
"""


def places_left(step: Step) -> int:
    """How many more messages of the step there may be; how many more runs, if its items are runs.

    Two transactions must not fill the same places. So fill them only with the run locked, or in
    the transaction that creates it; items that are runs, only with the lock of `try_lock_opening`.
    """
    if step.nested:
        [(taken, running)] = fetch(ACTIVE_RUNS, [step.pk])
        left: int = places(step.max_active, running) - taken
        return max(0, left)
    active = Item.objects.filter(IS_ACTIVE, step=step, message_id__isnull=False)
    found = active.aggregate(
        taken=Count("message_id", distinct=True),
        running=Count("pk", filter=Q(state=StepState.RUNNING)),
    )
    left = places(step.max_active, found["running"]) - found["taken"]
    return max(0, left)


def wants_places(step: Step, running: int) -> bool:
    """Whether the step may have more places than items run, some are free, and items wait.

    Args:
        running: how many of its items run.
    """
    if 2 * running <= FIRST_PLACES or places(step.max_active, running) <= running:
        return False
    waiting = Item.objects.filter(step=step, state=StepState.WAITING, due_at__isnull=True)
    return places_left(step) > 0 and waiting.exists()


def open_chunks(
    step: Step,
    count: int,
    now: datetime,
    *,
    hand_over: HandOver | None = None,
    ended: Item | None = None,
) -> tuple[list[Item], int]:
    """Open up to `count` chunks of waiting items, and write them.

    Rows that another transaction has locked are being opened, or ended, by that.

    Args:
        hand_over: may claim the first item for this process, where `ended` has ended.

    Returns:
        The items to publish, and how many were opened. Whoever calls this counts them.
    """
    size = step.chunk or 1
    waiting: list[Item] = select(
        Item,
        f"{WAITING} LIMIT %s",
        [step.pk, min(count * size, max(size, MOST_AT_ONCE))],
        without=NOT_READ,
        lock=True,
        skip_locked=True,
    )
    for item in waiting:
        item.step = step
        queue_attempt(item, now)
    chunks = [waiting[first : first + size] for first in range(0, len(waiting), size)]
    taken = None
    if hand_over is not None and ended is not None and chunks and not step.limits:
        taken = hand_over.take(ended, chunks[0][:1], now)
    heads = [chunk[0] for chunk in chunks if chunk[0] is not taken]
    first = list(first_batch(heads, now)) if not step.limits else []
    for head, *rest in chunks:
        head.message_id = head.message_id or head.task_id
        for item in rest:
            item.message_id, item.publish_count, item.due_at = head.message_id, 0, None
    write([item for item in waiting if item is not taken], QUEUE_COLUMNS)
    write([taken] if taken is not None else [], (*OPEN_COLUMNS, "attempt"))
    shared_limits.enter(waiting)
    return first, len(waiting)


def open_items(step: Step, now: datetime) -> list[Item]:
    """Write the items of a mapped step that has just opened, and open as many as there are places.

    Returns:
        The items to publish after the commit.
    """
    write_items(step)
    if step.state != StepState.RUNNING:
        counts.clear(step.pk)
        return []
    return fill_places(step, now)


def fill_places(step: Step, now: datetime) -> list[Item]:
    """Open a chunk for each place that is free; see `places_left`. Returns the items to publish.

    Items that are child runs open after the commit.
    """
    if step.nested:
        # Not a `partial`: if it fails, Django logs its `__qualname__`, and a `partial` has none.
        transaction.on_commit(lambda: item_runs().open(step.pk), robust=True)
        return []
    heads, opened = open_chunks(step, places_left(step), now)
    if opened:
        counts.add(step.pk, now, opened=opened)
    return [head for head in heads if head.publish_count]


def claim_next(claimed: Item) -> bool:
    """Claim the next waiting item of the step, as `claimed` says; that becomes its row.

    What waits has no trace of an attempt but its number. False if none waits, or all are locked.
    """
    return _claim(claimed, OPEN_COLUMNS, WAITING, [claimed.step.pk], count="attempt")


def claim_next_of_chunk(message_id: str, claimed: Item) -> bool:
    """Claim the next item that this message carries, as `claimed` says; that becomes its row.

    False if none is left, or all are locked.
    """
    return _claim(claimed, CLAIM_COLUMNS, REST, [message_id, claimed.step.pk])


def _claim(
    claimed: Item, columns: Sequence[str], where: str, params: Sequence[Any], count: str = ""
) -> bool:
    values = {name: getattr(claimed, name) for name in columns}
    step = claimed.step
    row = update_first(Item, values, where, params, without=NOT_READ, count=count)
    if row is None:
        return False
    vars(claimed).update(vars(row))
    claimed.step = step
    return True


def next_of_chunk(step: Step, message_id: str) -> Item | None:
    """The next item that this message carries, locked; None if none is left, or all are locked."""
    rows: Sequence[Item] = select(
        Item,
        f"{REST} LIMIT 1",
        [message_id, step.pk],
        without=LARGE_OF_ITEM,
        lock=True,
        skip_locked=True,
    )
    for item in rows:
        item.step = step
    return next(iter(rows), None)


def give_message(step: Step, message_id: str, now: datetime, *, waited: bool) -> list[Item]:
    """Give the rest of a chunk, whose message is over, a message of its own.

    Args:
        waited: the rest has waited in a queue. Otherwise it begins to wait now.

    Returns:
        The item to publish, if there is a rest.
    """
    rest: list[Item] = select(
        Item, REST, [message_id, step.pk], without=LARGE_OF_ITEM, lock=True, skip_locked=True
    )
    for item in rest:
        item.step = step
        item.message_id, item.publish_count, item.due_at = rest[0].task_id, 0, None
        if not waited:
            item.queued_at = now
    for head in rest[:1]:
        head.publish_count, head.due_at = 1, now + republish_after(0)
        if step.queue_timeout is not None and head.queued_at is not None:
            limit = head.queued_at + timedelta(seconds=step.queue_timeout)
            head.due_at = min(head.due_at, limit)
    write(rest, ("message_id", "publish_count", "due_at", "queued_at"))
    return rest[:1]
