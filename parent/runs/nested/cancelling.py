"""Cancelling many child runs at once, with all that is inside of them."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, Q

from parent.models import Event, Item, Run, Step, StepState
from parent.models.run import shortened
from parent.runs.concurrency.shared_limits import begin_next_after_commit
from parent.runs.nested.of_items import lock_opening
from parent.runs.nested.tree import in_batches

__all__ = ["cancel_runs"]


def cancel_runs(
    run_ids: Iterable[UUID | None], now: datetime, end_at: datetime, who: str = ""
) -> None:
    """Cancel these child runs and all runs inside of them, by a few statements for each level.

    Their children end at their next reports, or at `end_at`. Each run ends when none of them is
    left; where that is so at once, a tick ends it. The caller has locked the run above them.
    """
    for batch in in_batches(run_id for run_id in run_ids if run_id is not None):
        _cancel(batch, now, end_at, who)


def _cancel(run_ids: Collection[UUID], now: datetime, end_at: datetime, who: str) -> None:
    rows = Run.objects.filter(pk__in=run_ids, finished_at__isnull=True).order_by("pk")
    locked = rows.select_for_update(of=("self",), no_key=True)
    going = dict(locked.values_list("pk", "cancel_requested_at"))
    if not going:
        return
    new = [pk for pk, requested_at in going.items() if requested_at is None]
    event = {"at": now, "who": shortened(who), "what": "cancel"}
    Event.objects.bulk_create([Event(run_id=pk, **event) for pk in new])
    Run.objects.filter(pk__in=new).update(cancel_requested_at=now)
    Run.objects.filter(pk__in=list(going)).update(due_at=now)
    steps = Step.objects.filter(run__in=list(going))
    waits = Q(state__in=(StepState.WAITING, StepState.QUEUED))
    waits |= Q(state=StepState.RUNNING) & ~Q(awaits="")
    steps.filter(waits).update(state=StepState.CANCELLED, finished_at=now, due_at=None)
    begin_next_after_commit(_limits_of(steps))
    running = steps.filter(state=StepState.RUNNING)
    running.filter(nested=False, chunk=None).update(due_at=end_at)
    # A tick cancels the items that have not begun, and ends the steps.
    mapped = running.filter(chunk__isnull=False)
    mapped.update(due_at=now)
    lock_opening(mapped.filter(nested=True).values_list("pk", flat=True))
    items = Item.objects.filter(step__in=mapped, state=StepState.RUNNING)
    items.filter(step__nested=False).update(due_at=end_at)
    cancel_runs(_inside(running, items), now, end_at, who)


def _limits_of(steps: Any) -> set[str]:
    found = steps.filter(limits__isnull=False).order_by().values_list("limits", flat=True)
    return {name for names in found.distinct() for name in names}


def _inside(steps: Any, items: Any) -> Iterator[UUID]:
    """The child runs of these running steps and items."""
    for rows in (steps, items):
        yield from rows.filter(child_run_id__isnull=False).values_list(F("child_run_id"), flat=True)
