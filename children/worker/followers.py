"""Several children, one after another, in the process that one message has reached.

When a child of a run ends, its host may name a child that follows (`Attempt.follower`). The process
then runs it at once, as if a message had brought it: with a request of its own, Celery's signals,
and events. It saves the way over the broker, which takes longer than a short child.

Celery's time limits, rate limits and `worker_max_tasks_per_child` count messages, in the worker's
main process. So that process says with each message whether children may follow, and which not.
"""

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from celery.utils.log import get_task_logger

from children import host
from children.meta import Meta
from children.worker.events import Events
from children.worker.follower_time import FollowerTime
from children.worker.stop_flag import is_stopping

__all__ = [
    "TERMS",
    "ReportedText",
    "claimed_attempt",
    "current",
    "set_follower",
    "with_followers",
]

logger = get_task_logger(__name__)

Trace = Callable[..., Any]
"""Celery's tracer of a task: called with the id, the arguments and the request, it runs the task
and returns `(retval, info, runtime, retstr)`.
"""

TERMS = "workflow_terms"
"""The key, in a message's headers, of what the worker's main process says about followers."""

_delivery: ContextVar[host.Delivery | None] = ContextVar("delivery", default=None)
_running: ContextVar["Running | None"] = ContextVar("running", default=None)
_next: ContextVar[host.Follower | None] = ContextVar("next", default=None)
_time = FollowerTime()


@dataclass(slots=True)
class Running:
    """The follower that this process runs, and its attempt, once it has begun."""

    follower: host.Follower
    attempt: host.Attempt | None = None


class ReportedText(str):
    """The text of a result whose event has been sent already."""

    __slots__ = ()


def current() -> host.Delivery | None:
    """The message that this process works on, if children may follow."""
    return _delivery.get()


def claimed_attempt(task_id: str) -> host.Attempt | None:
    """The attempt of a follower, which its host has claimed already; None of any other child."""
    running = _running.get()
    if running is None or running.follower.task_id != task_id:
        return None
    running.attempt = running.follower.begin()
    return running.attempt


def set_follower(follower: host.Follower | None) -> None:
    """Run this child when the present one has returned to Celery."""
    _next.set(follower)


def with_followers(task: Any, trace: Trace) -> Trace:
    """Celery's `trace` of the task, and then its followers, in a loop.

    The outcome is that of the message's own child: its followers' are recorded by their host.
    """

    def trace_all(
        uuid: str, args: Any, kwargs: Any, request: Mapping[str, Any] | None = None
    ) -> Any:
        terms = (request or {}).get(TERMS)
        if request is None or terms is None:
            return trace(uuid, args, kwargs, request)
        delivery = host.Delivery(
            id=uuid,
            taken_at=time.monotonic(),
            excluded=frozenset(terms["excluded"]),
            is_stopping=is_stopping,
            follower_seconds=_time.seconds,
        )
        token = _delivery.set(delivery)
        try:
            outcome = trace(uuid, args, kwargs, request)
            follower = _take()
            if follower is None:
                return outcome
            events = Events(request, on=terms["events"])
            if outcome.info is None:  # of a failure the worker's main process sends the event
                events.add_outcome(task, uuid, outcome)
            with _time:
                while follower is not None:
                    _run(follower, request, events)
                    follower = _take()
        finally:
            _delivery.reset(token)
        if terms["events"] and outcome.info is None:
            return outcome._replace(retstr=ReportedText(outcome.retstr))
        return outcome

    return trace_all


def _take() -> host.Follower | None:
    follower = _next.get()
    _next.set(None)
    return follower


def _run(follower: host.Follower, carrier: Mapping[str, Any], events: Events) -> None:
    """Run a follower under a request like that of a message, and see that it ends.

    Not every pool of Celery notices an exception here, so none leaves but those that end a process.
    """
    running = Running(follower)
    token = _running.set(running)
    try:
        _trace(follower, carrier, events)
    except Exception:
        logger.exception("%s[%s] failed outside its body", follower.task.name, follower.task_id)
    finally:
        _running.reset(token)
    attempt = running.attempt or follower.begin()
    if not attempt.ended:
        attempt.finish(Meta().failed(f"Error in {attempt.name}: it ended without an outcome"))
        if attempt.follower is not None:
            set_follower(attempt.follower)


def _trace(follower: host.Follower, carrier: Mapping[str, Any], events: Events) -> None:
    task = follower.task
    message = task.app.amqp.as_task_v2(
        follower.task_id, task.name, (), dict(follower.kwargs), ignore_result=True
    )
    _, kwargs, embedded = message.body
    request = {
        **message.headers,
        **message.properties,
        **embedded,
        **follower.headers,
        "properties": message.properties,
        "args": [],
        "kwargs": kwargs,
        "is_eager": False,
        "hostname": carrier.get("hostname"),
        "delivery_info": {**(carrier.get("delivery_info") or {}), "redelivered": False},
        TERMS: carrier[TERMS],
    }
    events.add_start(task, request)
    outcome = task.trace_one(follower.task_id, [], kwargs, request)
    events.add_outcome(task, follower.task_id, outcome)
