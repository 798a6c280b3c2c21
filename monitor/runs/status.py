"""The status of a run or child in the API: a pure function of its rows and the time."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from datetime import datetime
from typing import Any

from celery import states
from django.urls import reverse

from children.meta import Status
from children.sanitize import one_line
from monitor.http.namespace import APP_NAME
from monitor.polling.poll_after import last_change, poll_after_ms, step_of_time
from monitor.runs.titles import step_titles, titled_reason, with_title, workflow_title
from monitor.runs.waiting import Waiting, waiting_of
from monitor.texts.status_words import CANCELLING
from parent.decisions.eta import run_eta, step_eta
from parent.decisions.summary import run_meta, run_state, summarize
from parent.definition.parent_task import NAME_PREFIX
from parent.models import Item, Run, RunState, Step, StepState
from parent.runs.concurrency.who_waits import Standing

__all__ = ["child_status_of", "status_of"]

STEP_STATES = {
    StepState.WAITING: states.PENDING,
    StepState.QUEUED: states.PENDING,
    StepState.OK: states.SUCCESS,
    StepState.ERROR: states.FAILURE,
    StepState.SKIPPED: states.REVOKED,
    StepState.CANCELLED: states.REVOKED,
}
# These two have the same Celery state, so the message distinguishes them.
STEP_MESSAGES = {StepState.SKIPPED: "skipped", StepState.CANCELLED: "cancelled"}


def status_of(
    run: Run,
    steps: Collection[Step],
    *,
    now: datetime,
    consumed: Collection[str] | None = None,
    in_line: Sequence[Standing] = (),
    namespace: str = APP_NAME,
) -> dict[str, Any]:
    """The status of a run, as the API shows it. Times are datetimes.

    `eta_seconds` is None while it is unknown, and when the run has ended or is being cancelled.
    `message` is `cancelling` while the run is being cancelled. `poll_after_ms` is None when the run
    has ended, because nothing will change. Both are computed for the latest `step_of_time`, so that
    the status stays the same while nothing moves. `run_id` is the same as `task_id`.

    `result` is None if it was not read with the row. It is also at `result_url`, which is None
    without a result.

    Args:
        consumed: the queues that running workers consume; None if they were not looked up.
        in_line: where the run, or attempts of it, stand in line.
        namespace: that of our URLs, as `monitor.http.namespace` has it.
    """
    if not run.ended and _left_behind(run, steps):
        run = _brought_up(run, steps)
    ending = run.ended or run.cancel_requested_at is not None
    changed_at = last_change(run, steps, now)
    now = step_of_time(changed_at, now)
    step_states = {step.name: step.state for step in steps}
    titles = step_titles(run.workflow, (step.name for step in steps))
    waits = [
        Waiting() if ending else waiting_of(step, step_states, consumed, now, titles, in_line)
        for step in steps
    ]
    return {
        "task_id": str(run.pk),
        "run_id": str(run.pk),
        "parent_run_id": str(run.parent_run_id) if run.is_child else None,
        "periodic_task": run.periodic_task or None,
        "workflow": run.workflow,
        "title": workflow_title(run.workflow),
        "state": str(run.state),
        **_meta(run),
        **_result(run, str(run.pk), namespace),
        "eta_seconds": None if ending else run_eta(steps, now),
        **_waits(_first_wait(steps, waits)),
        "in_line": [] if ending else [_standing(each) for each in in_line],
        "steps": [step_row(step, wait, titles) for step, wait in zip(steps, waits, strict=True)],
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "poll_after_ms": None if run.ended else poll_after_ms(changed_at, now, steps),
        "version": run.version,
    }


def _first_wait(steps: Collection[Step], waits: Iterable[Waiting]) -> Waiting:
    """What the run waits for: nothing while a child runs, else what the first queued step does.

    If a step waits for something from outside, the run's message says so already.
    """
    if any(step.state == StepState.RUNNING and not step.awaits for step in steps):
        return Waiting()
    queued = (
        wait for step, wait in zip(steps, waits, strict=True) if step.state == StepState.QUEUED
    )
    return next(queued, Waiting())


def _waits(wait: Waiting) -> dict[str, Any]:
    return {"waits_for": wait.text, "waits_until": wait.until}


def _standing(each: Standing) -> dict[str, Any]:
    return {
        "step": each.step,
        "name": each.name,
        "use": each.use,
        "ahead": each.ahead,
        "since": each.since,
        "held_by": [str(run) for run in each.held_by],
    }


def _left_behind(run: Run, steps: Iterable[Step]) -> bool:
    moves = (at for step in steps for at in (step.queued_at, step.started_at, step.finished_at))
    return any(at is not None and at > run.mirrored_at for at in moves)


def _brought_up(run: Run, steps: Collection[Step]) -> Run:
    """The run as its steps say: between two steps, a tick updates the run's row later."""
    run, summary = copy(run), summarize(list(steps))
    run.started_at = run.started_at or summary.started_at
    run.state = run_state(RunState(run.state), summary)
    run.set_meta(run_meta(run.meta, summary))
    return run


def child_status_of(
    run: Run,
    step: Step | Item,
    *,
    now: datetime,
    consumed: Collection[str] | None = None,
    in_line: Sequence[Standing] = (),
    namespace: str = APP_NAME,
) -> dict[str, Any]:
    """The status of a child under its own id, in the same shape as a run's.

    `workflow`, `run_id` and `version` are those of its run; `steps` is empty. The child of an item
    has no `eta_seconds`.
    """
    ended = STEP_STATES.get(StepState(step.state), "") in states.READY_STATES
    changed_at = last_change(run, [step], now)
    now = step_of_time(changed_at, now)
    return {
        "task_id": step.task_id,
        "run_id": str(run.pk),
        "parent_run_id": str(run.parent_run_id) if run.is_child else None,
        "periodic_task": run.periodic_task or None,
        "workflow": run.workflow,
        "title": _child_title(run, step),
        "state": step_state(step),
        **_meta(step),
        **_result(step, step.task_id, namespace),
        "eta_seconds": None if ended or isinstance(step, Item) else step_eta(step, now),
        **_waits(waiting_of(step, {}, consumed, now, in_line=in_line)),
        "in_line": [_standing(each) for each in in_line if each.task_id == step.task_id],
        "steps": [],
        "created_at": step.queued_at,
        "started_at": step.started_at,
        "finished_at": step.finished_at,
        "poll_after_ms": None if ended else poll_after_ms(changed_at, now, [step]),
        "version": run.version,
    }


def _child_title(run: Run, child: Step | Item) -> str:
    name = child.step.name if isinstance(child, Item) else child.name
    title = step_titles(run.workflow, [name])[name]
    return f"{title}[{child.key}]" if isinstance(child, Item) else title


def step_row(step: Step, wait: Waiting, titles: Mapping[str, str]) -> dict[str, Any]:
    """A step in its run's status; `titles` are those of the run's steps, by name."""
    meta = _meta(step)
    return {
        "name": step.name,
        "title": titles[step.name],
        "task_id": step.task_id,
        "state": step_state(step),
        **meta,
        "message": titled_reason(step, titles) or meta["message"],
        **_waits(wait),
        "attempt": step.attempt,
        "when": step.when,
        "optional": step.optional,
        "awaits": step.awaits,
        "items": step.items,
        "run_id": None if step.child_run_id is None else str(step.child_run_id),
        "queued_at": step.queued_at,
        "started_at": step.started_at,
        "finished_at": step.finished_at,
    }


def step_state(step: Step | Item) -> str:
    """The Celery state of a step: PROGRESS once its child has reported."""
    if step.state == StepState.RUNNING:
        return "PROGRESS" if step.reported_at else states.STARTED
    return STEP_STATES[StepState(step.state)]


def _result(row: Run | Step | Item, task_id: str | None, namespace: str) -> dict[str, Any]:
    ok = row.status == Status.OK
    return {
        "result": row.result_if_read if ok else None,
        "result_url": reverse(f"{namespace}:task-result", args=[task_id]) if ok else None,
        "result_size": row.result_size if ok else None,
    }


def _meta(row: Run | Step | Item) -> dict[str, Any]:
    message = row.message
    if isinstance(row, Run):
        # The running children end at their next report.
        cancelling = row.cancel_requested_at is not None and not row.ended
        message = CANCELLING if cancelling else with_title(row.workflow, message)
    elif not message:
        message = STEP_MESSAGES.get(StepState(row.state), "")
    elif row.task.startswith(NAME_PREFIX):
        message = with_title(row.task.removeprefix(NAME_PREFIX), message)
    return {
        "iteration": row.iteration,
        "total": row.total,
        "completion": row.completion,
        "status": row.status.value,
        "message": message,
        "error": None if row.error is None else one_line(row.error),
    }
