"""Retrying a failed or cancelled run, on a user's request."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from children.errors import ResultNotJSON
from children.meta import Meta
from children.sanitize import check_json, plain_json
from parent.errors import CannotRetry, InvalidRetry, UnknownRun
from parent.models import Event, Item, Run, RunState, Step, StepState
from parent.runs.advance import advance, pass_places_on_after_commit
from parent.runs.attempts import ATTEMPT_COLUMNS
from parent.runs.concurrency.runs_in_line import lock_of, may_begin
from parent.runs.nested.child import run_again
from parent.runs.nested.tree import outermost
from parent.runs.new_run import deadline, timeout_of
from parent.runs.user_retry.choice import check_options, check_takes_inputs, steps_to_retry
from parent.runs.user_retry.reset import reset_from
from parent.store.run_rows import Locked, lock_run, run_key
from parent.store.writes.update import write

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
        check_options(step, inputs, skip=skip)
    try:
        check_json(inputs, "the inputs are")
        result, _ = plain_json(result)
    except ResultNotJSON as exc:
        raise InvalidRetry(str(exc)) from exc
    with transaction.atomic():
        run, steps, now, _ = _lock(run_key(run_id))
        chosen = steps_to_retry(steps, step, alone=inputs is not None or skip)
        if inputs is not None:
            check_takes_inputs(chosen[0])
        changed = chosen if inputs is not None or skip else ()
        kept = reset_from(
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
        raise CannotRetry(f"This run is a step of another run. Retry that run: {outermost(run)}.")
    return locked


def _mark_ok(row: Step, result: Any, now: datetime) -> None:
    row.set_meta(Meta().ok(result))
    row.state, row.finished_at = StepState.OK, now


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
    chosen = steps_to_retry(rows, None, alone=False)
    inner = reset_from(rows, chosen, now)
    detail = {"from": [row.name for row in chosen]}
    Event.objects.create(run=run, at=now, who=who, what="retry", detail=detail)
    _reopen(run, now, step.run_timeout)
    _run_again(inner, who, now)
    advance(run, rows, now)


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
