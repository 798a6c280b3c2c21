"""Trying a failed or cancelled run again, on somebody's word."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from children.errors import ResultNotJSON
from children.meta import Meta
from children.sanitize import check_json
from parent.decisions.plan import dependents
from parent.definition.validation import listed
from parent.definition.workflow import registry
from parent.errors import CannotRetry, InvalidRetry, UnknownRun, UnknownWorkflow
from parent.models import Event, Run, RunState, Step, StepState
from parent.models.fields import META_COLUMNS
from parent.runs.advance import advance
from parent.runs.attempts import archive
from parent.store.run_rows import lock_run
from parent.store.writes import write

__all__ = ["retry", "with_dependents"]

RESET_FIELDS = (
    "state", "task_id", "claim", "executor_id", "traceback", "retries_used",
    "due_at", "queued_at", "started_at", "reported_at", "finished_at", *META_COLUMNS,
)  # fmt: skip


def retry(
    run_id: UUID | str,
    *,
    step: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    skip: bool = False,
    result: Any = None,
    who: str = "",
) -> Run:
    """Go on with a run that has failed or was cancelled, under the same id.

    What is OK is kept, with its result; the rest runs, or runs again.

    Args:
        step: from which one on; it and all that depends on it run again. None takes those that
            failed or were cancelled.
        inputs: keyword arguments for that step's child, in place of those that it had.
        skip: take that step as OK with `result`, without running it.
        who: the name of the user, for the run's history.

    Raises:
        UnknownRun: there is none of that id.
        CannotRetry: it has neither failed nor been cancelled.
        InvalidRetry: what is asked for does not fit it.
    """
    try:
        check_json([inputs, result], "inputs and result are")
    except ResultNotJSON as exc:
        raise InvalidRetry(str(exc)) from exc
    with transaction.atomic():
        locked = lock_run(UUID(str(run_id)))
        if locked is None:
            raise UnknownRun(f"There is no run {run_id}.")
        run, steps, now, _ = locked
        if run.state not in (RunState.FAILURE, RunState.REVOKED):
            raise CannotRetry(f"Only a failed or cancelled run can be retried: it is {run.state}.")
        chosen = _chosen(steps, step, alone=inputs is not None or skip)
        from_here = with_dependents(steps, chosen)
        _reset([row for row in steps if row.name in from_here or row.state != StepState.OK], now)
        told: dict[str, Any] = {"from": [row.name for row in chosen]}
        if inputs is not None:
            chosen[0].input_override = told["inputs"] = dict(inputs)
        if skip:
            _take_as_ok(chosen[0], result, now)
            told |= {"skip": True, "result": result}
        if inputs is not None or skip:
            chosen[0].save()
        Event.objects.create(run=run, at=now, who=who, what="retry", detail=told)
        _revive(run, now)
        advance(run, steps, now)
    return run


def _chosen(steps: Sequence[Step], name: str | None, *, alone: bool) -> list[Step]:
    """The steps to begin with."""
    if name is not None:
        chosen = [row for row in steps if row.name == name]
        if not chosen:
            known = listed([row.name for row in steps])
            raise InvalidRetry(f"The run has no step {name!r}; its steps are: {known}.")
        return chosen
    chosen = [row for row in steps if row.state in (StepState.ERROR, StepState.CANCELLED)]
    if alone and len(chosen) != 1:
        names = listed([row.name for row in chosen or steps])
        raise InvalidRetry(f"Say which step is meant: {names}.")
    return chosen


def with_dependents(steps: Sequence[Step], roots: Iterable[Step]) -> set[str]:
    """The names of `roots` and of all that come after them."""
    after = dependents(steps)
    names = {row.name for row in roots}
    reached = list(names)
    while reached:
        more = [name for name in after[reached.pop()] if name not in names]
        names.update(more)
        reached += more
    return names


def _reset(rows: Sequence[Step], now: datetime) -> None:
    archive([row for row in rows if row.attempt and row.task_id], now)
    for row in rows:
        row.state, row.task_id, row.claim, row.executor = StepState.WAITING, None, None, None
        row.set_meta(Meta())
        row.traceback, row.retries_used, row.due_at = "", 0, None
        row.queued_at = row.started_at = row.reported_at = row.finished_at = None
    write(rows, RESET_FIELDS)


def _take_as_ok(row: Step, result: Any, now: datetime) -> None:
    row.set_meta(Meta().ok(result))
    row.state, row.finished_at = StepState.OK, now


def _revive(run: Run, now: datetime) -> None:
    """The one way out of a terminal state."""
    # One that was cancelled before it began begins here.
    run.started_at = run.started_at or now
    run.state, run.finished_at, run.cancel_requested_at = RunState.STARTED, None, None
    run.set_meta(Meta())
    run.due_at = run.deadline_at = _deadline(run, now)
    run.save()


def _deadline(run: Run, now: datetime) -> datetime | None:
    try:
        timeout = registry.get(run.workflow).timeout
    except UnknownWorkflow:
        return None
    return now + timedelta(seconds=timeout) if timeout else None
