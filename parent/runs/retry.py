"""Retrying a failed or cancelled run, on a user's request."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from children.errors import ResultNotJSON
from children.meta import Meta
from children.sanitize import check_json, clean_text, plain_json
from parent.decisions.step_like import dependents, fails_run
from parent.definition.name_lists import join_names
from parent.errors import CannotRetry, InvalidRetry, UnknownRun
from parent.models import Awaits, Event, Item, ReceivedSignal, Run, RunState, Step, StepState
from parent.runs.advance import advance, pass_places_on_after_commit
from parent.runs.attempts import ATTEMPT_COLUMNS, archive, clear_attempt
from parent.runs.following.places import lock_of, may_begin
from parent.runs.items.sweeps import drop_items, reset_item, reset_items
from parent.runs.nested.child import run_again
from parent.runs.nested.tree import outermost
from parent.runs.new_run import deadline, timeout_of
from parent.store.run_rows import Locked, lock_run
from parent.store.writes import write

__all__ = ["go_on", "retry"]

RESUMED_COLUMNS = (*ATTEMPT_COLUMNS, "attempt", "publish_count")
"""What is written to a nested step whose run goes on."""


def retry(
    run_id: UUID | str,
    *,
    step: str | None = None,
    item: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    skip: bool = False,
    result: Any = None,
    who: str = "",
) -> Run:
    """Continue a run that has failed or was cancelled, under the same id.

    Steps that are OK keep their results, and optional steps that failed keep their errors; the
    others run, or run again. A nested step that failed goes on with its run, in the same way.

    Args:
        step: run this step and all that depend on it again, with the steps that failed the run or
            were cancelled and what depends on them. None takes these alone.
        item: the key of an item of that step, which is mapped. It runs again with the inputs that
            it had; the step's other items stay as they are.
        inputs: keyword arguments for that step's child, in place of its own inputs.
        skip: make that step OK with `result`, without running it.
        who: the name of the user, for the run's history.

    Raises:
        UnknownRun: no run has that id.
        CannotRetry: the run has neither failed nor been cancelled, or is a step of another one.
        InvalidRetry: the step, the item, the inputs or the result do not fit the run.
    """
    if item is not None:
        _check_options(step, inputs, skip=skip)
    try:
        check_json(inputs, "the inputs are")
        result, _ = plain_json(result)
    except ResultNotJSON as exc:
        raise InvalidRetry(str(exc)) from exc
    with transaction.atomic():
        run, steps, now, _ = _lock(UUID(str(run_id)))
        chosen = _steps_to_retry(steps, step, alone=inputs is not None or skip)
        if inputs is not None:
            _check_takes_inputs(chosen[0])
        changed = chosen if inputs is not None or skip else ()
        kept = _reset_from(
            steps, chosen, now, changed=changed, skipped=chosen if skip else (), item=item
        )
        detail: dict[str, Any] = {"from": [row.name for row in chosen]}
        if item is not None:
            detail["item"] = item
        if inputs is not None:
            chosen[0].input_override = detail["inputs"] = dict(inputs)
        if skip:
            _mark_ok(chosen[0], result, now)
            detail |= {"skip": True, "result": result}
        if changed:
            chosen[0].save()
        Event.objects.create(run=run, at=now, who=who, what="retry", detail=detail)
        _reopen(run, now)
        _run_again(kept, who, now)
        advance(run, steps, now)
    return run


def _lock(run_id: UUID) -> Locked:
    """The run, with all its steps, if it can be retried."""
    lock_of(run_id)
    locked = lock_run(run_id)
    if locked is None:
        raise UnknownRun(f"There is no run {run_id}.")
    run = locked.run
    if run.state not in Run.RETRIED_FROM:
        raise CannotRetry(f"Only a failed or cancelled run can be retried: it is {run.state}.")
    if run.is_child:
        raise CannotRetry(f"This run is a step of another one: retry that, {outermost(run)}.")
    return locked


def _check_takes_inputs(step: Step) -> None:
    if step.is_mapped:
        raise InvalidRetry(f"{step.name} takes its items from `over`: leave inputs out.")
    if step.awaits:
        raise InvalidRetry(f"{step.name} has no inputs: it waits for {_what(step)}.")


def _check_options(step: str | None, inputs: Mapping[str, Any] | None, *, skip: bool) -> None:
    """Whether these options fit the retry of one item."""
    if step is None:
        raise InvalidRetry("Say which step the item belongs to.")
    if inputs is not None:
        raise InvalidRetry("An item keeps the inputs that it had: leave inputs out.")
    if skip:
        raise InvalidRetry("One item cannot be skipped: leave skip out.")


def _item_to_retry(step: Step, key: str, again: Sequence[Step]) -> Item:
    """The item with this key, of a step that runs `again` with others."""
    if not step.is_mapped:
        raise InvalidRetry(f"{step.name} has no items, as it is not a Map: leave the item out.")
    if earlier := {row.name for row in again} & {*step.after}:
        names = join_names(sorted(earlier))
        raise InvalidRetry(
            f"{step.name} gets new items, as {names} runs again before it: leave the item out."
        )
    if step.items is None:
        raise InvalidRetry(f"{step.name} has no items yet: leave the item out.")
    item = Item.objects.filter(step=step, key=clean_text(key)).only("step", "state", "key").first()
    if item is None:
        raise InvalidRetry(f"{step.name} has no item with the key {clean_text(key)!r}.")
    if item.state == StepState.OK:
        raise InvalidRetry(f"The item {key!r} of {step.name} is OK: its result is kept.")
    return item


def _reset_from(
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
    from_here = _with_dependents(steps, [*chosen, *_failed(steps)])
    again = [row for row in steps if row.name in from_here or not _is_kept(row)]
    only = None if item is None else _item_to_retry(chosen[0], item, again)
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


def _run_again(steps: Sequence[Step], who: str, now: datetime) -> None:
    """Let these nested steps run, and their runs go on where they failed."""
    for step in steps:
        run_again(step, now)
    write(steps, RESUMED_COLUMNS)
    for step in steps:
        go_on(step, lock_run(str(step.child_run_id)), who, now)


def go_on(step: Step | Item, locked: Locked | None, who: str, now: datetime) -> None:
    """Let the child run of this running step, or item, go on where it failed.

    Args:
        locked: that run, with all its steps.
    """
    if locked is None or locked.run.state not in (RunState.FAILURE, RunState.REVOKED):
        # It succeeded just before the run above was ended: a tick brings that up.
        Run.objects.filter(pk=str(step.child_run_id)).update(due_at=now)
        return
    run, rows, _, _ = locked
    chosen = _steps_to_retry(rows, None, alone=False)
    inner = _reset_from(rows, chosen, now)
    detail = {"from": [row.name for row in chosen]}
    Event.objects.create(run=run, at=now, who=who, what="retry", detail=detail)
    _reopen(run, now, step.run_timeout)
    _run_again(inner, who, now)
    advance(run, rows, now)


def _what(row: Step) -> str:
    return str(Awaits(row.awaits).label)


def _forget_decisions(rows: Sequence[Step]) -> None:
    """Let approvals that were asked for be asked for again; the history keeps what was decided.

    Signals keep what they were given: that comes from outside, and does not depend on the steps.
    """
    asked = [row for row in rows if row.awaits == Awaits.APPROVAL and row.attempt]
    if asked:
        names = [row.name for row in asked]
        ReceivedSignal.objects.filter(run=asked[0].run_id, name__in=names).delete()


def _steps_to_retry(steps: Sequence[Step], name: str | None, *, alone: bool) -> list[Step]:
    """The steps that were asked for; `alone`: only one is allowed."""
    if name is not None:
        chosen = [row for row in steps if row.name == name]
        if not chosen:
            known = join_names([row.name for row in steps])
            raise InvalidRetry(f"The run has no step {name!r}; its steps are: {known}.")
        fed = next((row.name for row in steps if row.fed_by == name), None)
        if fed is not None:
            raise InvalidRetry(
                f"{name} is a signal that feeds {fed}, and what came stays: retry from {fed}, and "
                "its failed items run again."
            )
        return chosen
    chosen = _failed(steps)
    if alone and len(chosen) != 1:
        names = join_names([row.name for row in chosen or steps])
        raise InvalidRetry(f"Say which step is meant: {names}.")
    return chosen


def _failed(steps: Sequence[Step]) -> list[Step]:
    """The steps that failed the run or were cancelled: these run again in any case."""
    return [row for row in steps if fails_run(row) or row.state == StepState.CANCELLED]


def _is_kept(row: Step) -> bool:
    """What came after an optional step that failed has gone on without it."""
    return row.state == StepState.OK or (row.state == StepState.ERROR and row.optional)


def _with_dependents(steps: Sequence[Step], roots: Iterable[Step]) -> set[str]:
    """The names of `roots` and of all steps that depend on them."""
    after = dependents(steps)
    names = {row.name for row in roots}
    reached = list(names)
    while reached:
        more = [name for name in after[reached.pop()] if name not in names]
        names.update(more)
        reached += more
    return names


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
    """Let the items of mapped steps that are not OK run again; of a step that asks `over` again,
    none is kept. It does if it was OK, or comes after a step that runs again.

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


def _mark_ok(row: Step, result: Any, now: datetime) -> None:
    row.set_meta(Meta().ok(result))
    row.state, row.finished_at = StepState.OK, now


def _reopen(run: Run, now: datetime, run_timeout: float | None = None) -> None:
    """Make an ended run STARTED: the only way out of a terminal state.

    Args:
        run_timeout: that of the step, for a child run.
    """
    # A run that was cancelled before it started has no `started_at` yet.
    run.started_at = run.started_at or now
    run.state, run.finished_at, run.cancel_requested_at = RunState.STARTED, None, None
    run.set_meta(Meta())
    if run.place_key is not None:
        # Who retries a child run has not locked its key: see `NewRuns.add_child`.
        run.has_place = not run.is_child and may_begin(run.workflow, run.place_key)
        if run.is_child:
            pass_places_on_after_commit([(run.workflow, run.place_key)])
    limit = None if run.waits_for_turn else deadline(now, timeout_of(run.workflow), run_timeout)
    run.due_at = run.deadline_at = limit
    run.save()
