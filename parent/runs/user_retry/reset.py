"""The steps of a run, and their items, wait again."""

from collections.abc import Sequence
from datetime import datetime

from parent.models import Awaits, Item, ReceivedSignal, Step, StepState
from parent.runs.attempts import ATTEMPT_COLUMNS, archive, clear_attempt
from parent.runs.items.bulk import drop_items, reset_item, reset_items
from parent.runs.user_retry.choice import failed, is_kept, item_to_retry, with_dependents
from parent.store.writes.update import write

__all__ = ["reset_from"]


def reset_from(
    steps: Sequence[Step],
    chosen: Sequence[Step],
    now: datetime,
    *,
    changed: Sequence[Step] = (),
    skipped: Sequence[Step] = (),
    item: str | None = None,
) -> list[Step]:
    """Let the chosen steps, those that failed, all that depend on these, and whatever else is not
    OK wait again.

    Args:
        changed: those that get other inputs, or a result without running.
        skipped: those that get a result without running.
        item: the key of the one item of the chosen step that runs again; None takes all.

    Returns:
        The nested steps whose runs go on.
    """
    from_here = with_dependents(steps, [*chosen, *failed(steps)])
    again = [row for row in steps if row.name in from_here or not is_kept(row)]
    only = None if item is None else item_to_retry(chosen[0], item, again)
    _forget_decisions(again)
    _drop_checkpoints(again, changed)
    _take_items_again(again, skipped, only, now)
    kept = _kept_child_runs(again, changed)
    _reset(again, now)
    return kept


def _kept_child_runs(rows: Sequence[Step], changed: Sequence[Step]) -> list[Step]:
    """Those of these nested steps that go on with the run that they have; the others get a new one.

    They do if they were not OK, come after no step that runs again, and their inputs are not among
    the `changed`.
    """
    names = {row.name for row in rows}
    nested = [row for row in rows if row.child_run_id is not None]
    kept = [
        row
        for row in nested
        if row.state != StepState.OK and row not in changed and not names & {*row.after}
    ]
    dropped = [row for row in nested if row not in kept]
    for row in dropped:
        row.child_run_id = None
    write(dropped, ["child_run_id"])
    return kept


def _forget_decisions(rows: Sequence[Step]) -> None:
    """Let approvals that were asked for be asked for again; the history keeps what was decided.

    Signals keep what they were given: that comes from outside, and does not depend on the steps.
    """
    asked = [row for row in rows if row.awaits == Awaits.APPROVAL and row.attempt]
    if asked:
        names = [row.name for row in asked]
        ReceivedSignal.objects.filter(run=asked[0].run_id, name__in=names).delete()


def _drop_checkpoints(rows: Sequence[Step], changed: Sequence[Step]) -> None:
    """Drop the checkpoints of those of these steps that do not go on where they were.

    They do not if they were OK, if they come after a step that runs again, or if their inputs are
    among the `changed`.
    """
    names = {row.name for row in rows}
    for row in rows:
        if row.state == StepState.OK or row in changed or names & {*row.after}:
            row.checkpoint = None
    write([row for row in rows if "checkpoint" in row.__dict__], ["checkpoint"])


def _take_items_again(
    rows: Sequence[Step], skipped: Sequence[Step], only: Item | None, now: datetime
) -> None:
    """Let the items of mapped steps that are not OK run again.

    All items of a step are deleted if it was OK, if it is among the `skipped`, or if it comes after
    a step that runs again: the step asks `over` again, or needs no items.

    Args:
        only: the one item of its step that runs again.
    """
    names = {row.name for row in rows}
    for row in rows:
        if not row.is_mapped or row.items is None:
            continue
        if only is not None and only.step_id == row.pk:
            reset_item(row, only, now)
        elif row.state == StepState.OK or row in skipped or names & {*row.after}:
            drop_items(row)
        else:
            reset_items(row, now)
        row.save(update_fields=["items"])


def _reset(rows: Sequence[Step], now: datetime) -> None:
    archive([row for row in rows if row.attempt and row.task_id], now)
    for row in rows:
        clear_attempt(row)
        row.retries_used = 0
    write(rows, (*ATTEMPT_COLUMNS, "retries_used"))
