"""What happens to many items of a step by one statement: their end, their reset, their deletion."""

import sys
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import QuerySet

from children.meta import Meta
from parent.conf import setting
from parent.decisions.mapping import Counts, allowed_failures
from parent.models import Attempt, Item, Step, StepState
from parent.runs.concurrency.shared_limits import begin_next_after_commit
from parent.runs.items import counts
from parent.runs.nested.cancelling import cancel_runs
from parent.runs.nested.of_items import lock_opening
from parent.store.kept_sql import fetch

__all__ = [
    "cancel_items",
    "drop_items",
    "end_items",
    "may_fail",
    "reset_item",
    "reset_items",
    "skip_items",
    "too_many_failed",
]

NOT_BEGUN = (StepState.WAITING, StepState.QUEUED)
COUNTED = {
    StepState.ERROR: "failed",
    StepState.SKIPPED: "skipped",
    StepState.CANCELLED: "cancelled",
}


def skip_items(step: Step, now: datetime) -> int:
    """Skip all items that have not begun; returns how many. The caller counts them.

    A finish calls it, so it waits for no row: locked ones are being opened, and end as they do.
    """
    rows = Item.objects.filter(step=step, state__in=NOT_BEGUN)
    free = rows.select_for_update(skip_locked=True, of=("self",)).order_by()
    begin_next_after_commit(step.limits)
    return _end(Item.objects.filter(pk__in=free.values("pk")), StepState.SKIPPED, now)


def too_many_failed(step: Step) -> bool:
    """Whether more have failed than may: then nothing more opens, and no item is retried."""
    failed = fetch(
        "SELECT failed FROM parent_itemcount WHERE step_id = %s AND slot = %s",
        [step.pk, counts.FAILURES],
    )
    return sum(int(number) for (number,) in failed) > may_fail(step)


def may_fail(step: Step) -> int:
    """How many items of a running step may fail. Of one that a signal feeds, more may come."""
    return allowed_failures(step.tolerate, sys.maxsize if step.fed_by else step.item_total)


def cancel_items(step: Step, now: datetime) -> None:
    """Cancel all items that have not begun. The caller has locked the run."""
    _end_and_count(step, NOT_BEGUN, StepState.CANCELLED, now)


def end_items(step: Step, state: str, error: str, now: datetime) -> Counts:
    """End whatever is left of a step that ends; returns the final counts.

    The caller has locked the run.

    Child runs of its running items are cancelled, and end later.

    Args:
        state: the step's.
        error: of its running items, which cannot go on.
    """
    cancelled = state == StepState.CANCELLED
    if step.nested:
        lock_opening([step.pk])
    if step.nested and state != StepState.OK:
        running = Item.objects.filter(step=step, state=StepState.RUNNING)
        grace = timedelta(seconds=setting("CANCEL_GRACE") or 0.0)
        cancel_runs(running.values_list("child_run_id", flat=True), now, now + grace)
    if state != StepState.OK:
        begun = StepState.CANCELLED if cancelled else StepState.ERROR
        _end_and_count(step, (StepState.RUNNING,), begun, now, error)
    _end_and_count(step, NOT_BEGUN, StepState.CANCELLED if cancelled else StepState.SKIPPED, now)
    final = counts.read_one(step)
    counts.clear(step.pk)
    return final


def _end_and_count(
    step: Step, states: Collection[str], new: StepState, now: datetime, error: str = ""
) -> None:
    ended = _end(Item.objects.filter(step=step, state__in=states), new, now, error)
    if ended:
        begin_next_after_commit(step.limits)
        counts.add(step.pk, now, slot=counts.FAILURES, **{COUNTED[new]: ended})


def _end(rows: "QuerySet[Item]", state: StepState, now: datetime, error: str = "") -> int:
    values = {"error": error} if error else {}
    return rows.update(state=state, finished_at=now, due_at=None, unmirrored_since=None, **values)


def reset_items(step: Step, now: datetime) -> None:
    """Let all items that are not OK wait again, with the inputs that they had."""
    _archive(step, now)
    count = _reset(Item.objects.filter(step=step).exclude(state=StepState.OK))
    kept = step.item_total - count
    _count_anew(step, Counts(total=step.item_total, opened=kept, ok=kept))


def reset_item(step: Step, item: Item, now: datetime) -> None:
    """Let this item of a step that has ended wait again; the others stay as they are."""
    _archive(step, now, item)
    _reset(Item.objects.filter(pk=item.pk))
    kept = Counts.of(step.items or {})
    word = COUNTED[StepState(item.state)]
    left = {word: getattr(kept, word) - 1}
    _count_anew(step, replace(kept, opened=kept.opened - 1, **left))


def _count_anew(step: Step, kept: Counts) -> None:
    counts.reset(step.pk, kept)
    step.items = kept.as_dict()


def _reset(rows: "QuerySet[Item]") -> int:
    blank = Meta()
    return rows.update(
        state=StepState.WAITING,
        retries_used=0,
        publish_count=0,
        task_id=None,
        message_id=None,
        received_by=None,
        claim=None,
        executor=None,
        due_at=None,
        queued_at=None,
        started_at=None,
        reported_at=None,
        unmirrored_since=None,
        finished_at=None,
        traceback="",
        iteration=blank.iteration,
        total=blank.total,
        completion=blank.completion,
        message=blank.message,
        error=None,
        result=None,
        result_size=None,
    )


def _archive(step: Step, now: datetime, item: Item | None = None) -> None:
    """Keep a record of the last attempt of each item that is not OK, as `attempts.archive` does.

    Args:
        item: only of this one.
    """
    ended = Attempt._meta.get_field("finished_at").get_db_prep_save(now, connection)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO parent_attempt (step_id, item_id, number, task_id, worker, error, "
            "traceback, queued_at, started_at, finished_at) "
            "SELECT i.step_id, i.id, i.attempt, i.task_id, COALESCE(e.host || ':' || e.pid, ''), "
            "COALESCE(i.error, ''), i.traceback, i.queued_at, i.started_at, "
            "COALESCE(i.finished_at, %s) "
            "FROM parent_item AS i LEFT JOIN parent_executor AS e ON e.id = i.executor_id "
            "WHERE i.step_id = %s AND i.state <> 'OK' AND i.task_id IS NOT NULL "
            "AND i.id = COALESCE(%s, i.id)",
            [ended, step.pk, None if item is None else item.pk],
        )


def drop_items(step: Step) -> None:
    """Delete all items of a step that will ask `over` again."""
    Attempt.objects.filter(step=step, item__isnull=False)._raw_delete(Attempt.objects.db)
    rows = Item.objects.filter(step=step)
    rows._raw_delete(rows.db)
    counts.clear(step.pk)
    step.items = None
