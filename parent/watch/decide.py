"""What to do about one child: `watch_once`, a pure function, and `watch`, a loop around it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from celery import states
from celery.exceptions import SecurityError
from celery.result import (  # type: ignore[attr-defined]  # missing in celery-types
    AsyncResult,
    assert_will_not_block,
)
from django.utils import timezone
from kombu.exceptions import DecodeError

from children.meta import Meta, Status, error_text, parse

__all__ = [
    "End",
    "Keep",
    "Mirror",
    "Republish",
    "Stored",
    "Watched",
    "watch",
    "watch_once",
    "with_step_name",
]


UNSEEN = Meta(status=Status.PENDING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A watched child. Timeouts are in seconds, None is no limit; all times are by one clock.

    `claimed`: its own process recorded its start, and will record its end.
    """

    name: str
    queued_at: datetime
    queue: str | None = None
    started_at: datetime | None = None
    reported_at: datetime | None = None
    publish_at: datetime | None = None
    queue_timeout: float | None = None
    run_timeout: float | None = None
    stall_timeout: float | None = None
    dead_executor: str | None = None
    claimed: bool = False
    meta: Meta = UNSEEN


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """What Celery stored for the child: its state, decoded result and, if known, the time."""

    state: str
    result: object
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing happened. Check again at `due_at`; None is never."""

    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Mirror:
    """The child reported: copy its meta into the parent's. Check again at `due_at`."""

    meta: Meta
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Republish:
    """The child has not started and its message may be lost."""


@dataclass(frozen=True, slots=True)
class End:
    """The child's outcome.

    Attributes:
        retry: a retry is allowed if the step has retries left.
        may_run: its body may still run, and is not wanted any more.
    """

    outcome: Meta
    retry: bool = False
    may_run: bool = False


Verdict = Keep | Mirror | Republish | End


def watch_once(step: Watched, stored: Stored | None, now: datetime) -> Verdict:
    """Decide about one child.

    Args:
        step: what is known of it.
        stored: its stored result, None where there is no row.
        now: the time, by the same clock as the times in `step`.
    """
    # After a claim, ignore NotRegistered: it is stale or from a duplicate message.
    refused = _refused_task(stored) if step.started_at is None or step.claimed else None
    stored = None if refused else stored
    report = parse(stored.state, stored.result) if stored else UNSEEN
    if report.final:
        return End(with_step_name(step.name, report), retry=report.status is Status.ERROR)
    started = step.started_at or (now if report.status is Status.PROGRESS else None)
    if started is None:
        return _watch_queued(step, refused, now)
    return _watch_running(step, report, started, _last_report_at(step, report, stored, now), now)


def _refused_task(stored: Stored | None) -> str | None:
    """The task's name, if a worker received the message but did not know the task.

    Celery stores that as a failure of the task (`celery.worker.consumer.on_unknown_task`). While
    two versions of the code run side by side, another worker may know the task.
    """
    match stored:
        case Stored(state=states.FAILURE, result={"exc_type": "NotRegistered", **rest}):
            return error_text({"exc_type": None, **rest})
    return None


def _watch_queued(step: Watched, refused: str | None, now: datetime) -> Verdict:
    deadline = _after(step.queued_at, step.queue_timeout)
    if deadline is not None and now >= deadline:
        queue = f'queue "{step.queue}"' if step.queue else "its queue"
        cause = f"is a worker consuming {queue}?"
        if refused:
            cause = f"the worker that consumes {queue} does not know the task {refused}"
        error = f"{step.name} did not start within {step.queue_timeout:g} s: {cause}"
        return End(step.meta.failed(error))
    if step.publish_at is not None and now >= step.publish_at:
        return Republish()
    return Keep(_earliest(deadline, step.publish_at))


def _last_report_at(
    step: Watched, report: Meta, stored: Stored | None, now: datetime
) -> datetime | None:
    """When the child last reported. A new report without a time counts as reported now."""
    if stored is not None and stored.at is not None:
        return stored.at
    return now if _is_news(step, report) else step.reported_at


def _is_news(step: Watched, report: Meta) -> bool:
    return report.status is Status.PROGRESS and report != step.meta


def _watch_running(
    step: Watched, report: Meta, started: datetime, last_report_at: datetime | None, now: datetime
) -> Verdict:
    if step.dead_executor is not None:
        return _fail(step, f"{step.name}: the worker {step.dead_executor} died while running it")
    finish_by = _after(started, step.run_timeout)
    report_by = _after(last_report_at or started, step.stall_timeout)
    if finish_by is not None and now >= finish_by:
        return _fail(step, f"{step.name} did not finish within {step.run_timeout:g} s")
    if report_by is not None and now >= report_by:
        return _fail(
            step,
            f"{step.name} has not reported for {step.stall_timeout:g} s: "
            "it may hang, or need a longer stall_timeout",
        )
    due_at = _earliest(finish_by, report_by)
    if _is_news(step, report):
        return Mirror(report, due_at)
    return Keep(due_at)


def _fail(step: Watched, error: str) -> End:
    return End(step.meta.failed(error), retry=True, may_run=True)


def with_step_name(name: str, outcome: Meta) -> Meta:
    """The outcome, with the step's name in its error."""
    if outcome.error is None or outcome.error.startswith(f"Error in {name}:"):
        return outcome
    return outcome.failed(f"Error in {name}: {outcome.error}")


def _after(start: datetime, limit: float | None) -> datetime | None:
    return start + timedelta(seconds=limit) if limit else None


def _earliest(*times: datetime | None) -> datetime | None:
    return min((at for at in times if at is not None), default=None)


def watch(
    job: "AsyncResult[Any]",
    poll_interval: float = 0.1,
    timeout: float | None = None,
    *,
    queue_timeout: float | None = None,
    stall_timeout: float | None = None,
    on_report: Callable[[Meta], None] | None = None,
) -> Meta:
    """Watch one child to its outcome: for a notebook, a test, a command line.

    It blocks, so never call it in a task. A workflow watches children without holding a slot.

    Args:
        job: what `func_1.delay(...)` returned.
        poll_interval: seconds between two reads of the result backend.
        timeout: seconds from now until an unfinished child is an ERROR; None waits forever.
        queue_timeout: the same for a child that has not started.
        stall_timeout: the same since its last report.
        on_report: called with every new meta.

    Returns:
        The outcome. A failure is an outcome with status ERROR, not an exception.
    """
    assert_will_not_block()
    begun = timezone.now()
    step = Watched(
        name="the child",
        queued_at=begun,
        queue_timeout=min(filter(None, (queue_timeout, timeout)), default=None),
        run_timeout=timeout,
        stall_timeout=stall_timeout,
    )
    while True:
        (name, stored), now = _look(job), timezone.now()
        step = replace(step, name=name or step.name)
        match watch_once(step, stored, now):
            case End(outcome):
                return outcome
            case Mirror(meta, _):
                step = replace(step, meta=meta, started_at=begun, reported_at=now)
                if on_report is not None:
                    on_report(meta)
        time.sleep(poll_interval)


def _look(job: "AsyncResult[Any]") -> tuple[str, Stored]:
    """Read the task's name ("" if not stored), state and result from the backend."""
    try:
        # One query. `job.state` and `job.info` would take one each.
        row = job.backend.get_task_meta(job.id)
    except (ValueError, TypeError, SecurityError, DecodeError) as exc:
        # Celery rebuilds the exception of a FAILURE, and raises if its type is not stored.
        error = f"its stored result cannot be read: {error_text(exc)}"
        return "", Stored(state=states.FAILURE, result=error)
    name: str = row.get("task_name") or row.get("name") or ""
    return name.rpartition(".")[2], Stored(state=row["status"], result=row["result"])
