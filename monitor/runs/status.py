"""The status of a run or child in the API: a pure function of its rows and the time."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from datetime import datetime, timedelta
from typing import Any

from celery import states
from django.urls import reverse
from django.utils.translation import gettext, gettext_noop

from children.meta import Status
from children.sanitize import one_line
from monitor.http.namespace import APP_NAME
from monitor.runs.titles import step_titles, titled_reason, with_title, workflow_title
from monitor.runs.waiting import Waiting, waiting_of
from monitor.texts.language import figure
from monitor.texts.sayings import say
from parent.conf import interval
from parent.decisions.eta import run_eta, step_eta
from parent.decisions.plan import run_meta, run_state, summarize
from parent.definition.parent_task import NAME_PREFIX
from parent.models import Item, Run, RunState, Step, StepState
from parent.runs.following.standing import Standing

__all__ = [
    "CANCELLING",
    "child_status_of",
    "count",
    "is_unknown",
    "last_change",
    "own_message",
    "percent",
    "quiet_seconds",
    "share",
    "state_word",
    "status_of",
    "waiting_text",
]

LONGEST_MS, LONGEST_QUEUED_MS, LONGEST_AWAITING_MS = 2_000, 5_000, 30_000
MS_PER_STEP = 5
"""A status of many steps is long, so it is read less often: of 400 steps every 2 s."""

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


CANCELLING = "cancelling"


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

    Of a step that waits for something from outside, the run's message says so already.
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


def percent(status: dict[str, Any]) -> int:
    """0 to 100, rounded down. Only a task that ended OK has 100."""
    return 100 if status["status"] == "OK" else min(99, int(status["completion"]))


def is_unknown(status: dict[str, Any]) -> bool:
    """Whether it runs and nobody knows how far it is: nothing has said how much there is."""
    running = status["state"] in (states.STARTED, "PROGRESS")
    return running and status["total"] is None and not status["completion"]


def count(status: dict[str, Any]) -> str:
    """How much is done: `4 of 10`, `54 done`, or `1 of 3 steps`; empty if nothing was counted.

    In the reader's language.
    """
    text, done, all_ = _counted(status)
    figures = {"done": done, "all": all_}
    written = {name: figure(n) for name, n in figures.items()}
    return gettext(text).format(**written) if text else ""


def own_message(status: dict[str, Any]) -> str:
    """Its message, if that says more than its state and its count."""
    text, done, all_ = _counted(status)
    counted = text.format(done=f"{done:,}", all=f"{all_:,}")
    message: str = status["message"]
    return "" if message in (state_word(status), counted) else message


def _counted(status: dict[str, Any]) -> tuple[str, int, int]:
    """A text with the places `done` and `all`, and these; the text is empty without a count."""
    steps = status.get("steps") or []
    if len(steps) > 1:
        done = sum(step["status"] == Status.OK for step in steps)
        return gettext_noop("{done} of {all} steps"), done, len(steps)
    if status["total"] is not None:
        return gettext_noop("{done} of {all}"), status["iteration"], status["total"]
    return gettext_noop("{done} done") if status["iteration"] else "", status["iteration"], 0


def share(status: dict[str, Any]) -> str:
    """`20 %`; what was counted, if the whole is unknown."""
    if not is_unknown(status):
        return f"{percent(status)} %"
    return count({**status, "steps": []})


def waiting_text(status: dict[str, Any], now: datetime) -> str:
    """What it waits for, as a sentence of the page; empty if it waits for nothing.

    In the reader's language.
    """
    if not status["waits_for"]:
        return ""
    waited = say(status["waits_for"])
    if status.get("steps"):
        queued = (step for step in status["steps"] if state_word(step) == "queued")
        what = next((step["title"] for step in queued), "")
        text = gettext("{what} waits for {waited}").format(what=what, waited=waited)
    else:
        text = gettext("waits for {waited}").format(waited=waited)
    if (until := status["waits_until"]) is None:
        return text
    left = f"{max(0, int((until - now).total_seconds()))} s"
    if status.get("awaits"):
        return gettext("{text}, for another {time}").format(text=text, time=left)
    return gettext("{text}, in {time}").format(text=text, time=left)


def state_word(status: dict[str, Any]) -> str:
    """The state of a run or a step in one word, for people."""
    match status["state"]:
        case "PENDING":
            return "queued" if status["task_id"] else "waiting"
        case "SUCCESS":
            return "done"
        case "FAILURE":
            return "failed, optional" if status.get("optional") else "failed"
        case "REVOKED":
            return "cancelled" if status["status"] == "ERROR" else "skipped"
    if status["message"] == CANCELLING:
        return CANCELLING
    return "waiting" if status.get("awaits") else "running"


def step_state(step: Step | Item) -> str:
    """The Celery state of a step: PROGRESS once its child has reported."""
    if step.state == StepState.RUNNING:
        return "PROGRESS" if step.reported_at else states.STARTED
    return STEP_STATES[StepState(step.state)]


def last_change(run: Run, steps: Iterable[Step | Item], now: datetime) -> datetime:
    """When anything in these rows last changed."""
    moments = [run.created_at, run.started_at, run.cancel_requested_at]
    for step in steps:
        moments += [step.started_at, step.reported_at, step.finished_at]
        # A retry is queued for the future. `mirrored_at` is when that was decided.
        later = step.queued_at is not None and step.queued_at > now
        moments.append(run.mirrored_at if later else step.queued_at)
    return max(moment for moment in moments if moment is not None)


def step_of_time(changed_at: datetime, now: datetime) -> datetime:
    """The latest of 0, 1, 2, 4, 8 ... seconds after the last change."""
    return changed_at + timedelta(seconds=quiet_seconds(changed_at, now))


def quiet_seconds(changed_at: datetime, now: datetime) -> int:
    """The time since the last change, rounded down to 0, 1, 2, 4, 8 ... seconds."""
    quiet = (now - changed_at).total_seconds()
    return 0 if quiet < 1 else 1 << (int(quiet).bit_length() - 1)


def poll_after_ms(changed_at: datetime, now: datetime, steps: Collection[Step | Item]) -> int:
    """When to poll next: after a tenth of the time since the last change, within limits.

    So a client polls at the poll interval while reports come in (more slowly if there are more than
    a hundred steps), every 2 s while a child reports
    nothing, every 5 s while all steps wait in a queue, and every 30 s while the run only waits for
    something from outside.
    """
    shortest = max(
        round(1000 * interval("POLL_INTERVAL")), min(LONGEST_MS, MS_PER_STEP * len(steps))
    )
    running = any(step.state == StepState.RUNNING and not _only_waits(step) for step in steps)
    awaiting = any(step.state == StepState.RUNNING and _only_waits(step) for step in steps)
    queued = any(step.state == StepState.QUEUED for step in steps)
    quiet = 100 * (now - changed_at).total_seconds()
    longest = LONGEST_MS if running else LONGEST_QUEUED_MS
    if awaiting and not (running or queued):
        longest = LONGEST_AWAITING_MS
    return max(shortest, min(longest, round(quiet)))


def _only_waits(step: Step | Item) -> bool:
    """Whether this running step waits for something from outside, and nothing of it runs."""
    if isinstance(step, Step) and step.fed_by:
        left = ("waiting", "queued", "running")
        return not any((step.items or {}).get(name) for name in left)
    return bool(step.awaits)


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
