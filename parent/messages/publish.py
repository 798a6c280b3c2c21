"""Publish messages. Their rows are committed first, so a message may be lost or come twice."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any, TypeVar, cast

from celery import current_app
from celery.exceptions import QueueNotFound
from celery.utils.log import get_logger
from django.db import transaction
from kombu.exceptions import OperationalError

from children import host
from children.task import ChildTask
from parent.decisions.first_look import SOON
from parent.definition.parent_task import parent_task_name
from parent.messages.deadline import call_with_timeout
from parent.models import Item, Run, RunState, Step, StepState
from parent.telemetry import tracing
from parent.telemetry.log_context import about

__all__ = [
    "AT_ONCE",
    "first_batch",
    "is_publishing_off",
    "is_run_row_stale",
    "missing_messages",
    "publish_follow_up",
    "publish_run",
    "publish_steps",
    "publish_timeout",
    "publishing_off",
    "queue_of",
    "queue_problem",
    "republish_after",
    "run_row_due",
]

logger = get_logger(__name__)

S = TypeVar("S", Step, Item)

FIRST_DELAY, LONGEST_DELAY = 5.0, 30.0  # seconds until a message that seems lost is sent again

# One reconnect, for a stale pooled connection. After a longer outage a tick publishes: the request
# or child that publishes must not wait for the broker.
RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}

AT_ONCE = 100
"""Messages that are published at once when steps open: a fraction of a second."""

_publishing_off: ContextVar[bool] = ContextVar("publishing_off", default=False)
_send_timeout: ContextVar[float | None] = ContextVar("timeout", default=None)


@contextmanager
def publish_timeout(seconds: float) -> Iterator[None]:
    """In this context wait at most `seconds` for each message: a client waits for the answer.

    A tick publishes what was not sent by then. A message that is sent late comes twice.
    """
    token = _send_timeout.set(seconds)
    try:
        yield
    finally:
        _send_timeout.reset(token)


@contextmanager
def publishing_off() -> Iterator[None]:
    """Publish nothing in this context: the caller runs the steps itself."""
    token = _publishing_off.set(True)
    try:
        yield
    finally:
        _publishing_off.reset(token)


def is_publishing_off() -> bool:
    """Whether nothing is published in this context."""
    return _publishing_off.get()


def republish_after(publishes: int) -> timedelta:
    """How long to wait, after `publishes` sends, before checking whether a message is lost."""
    return timedelta(seconds=min(FIRST_DELAY * 2 ** min(publishes, 10), LONGEST_DELAY))


def publish_follow_up(run: Run) -> None:
    """If the run has ended, have a worker send what follows it, when the transaction commits.

    The message is the parent task's. If it is lost, a tick sends it again.
    """
    if run.ended and run.follow_up:
        transaction.on_commit(partial(publish_run, run))


def publish_run(run: Run) -> bool:
    """Send the parent task of `run`; return False if the broker is not available."""
    with about(run), tracing.under(run):
        return _send(parent_task_name(run.workflow), str(run.pk), run.params, ignore_result=False)


def first_batch(opened: Sequence[S], now: datetime) -> Sequence[S]:
    """Return the steps to publish at once; mark the others for a tick to publish."""
    if len(opened) <= AT_ONCE or _publishing_off.get():
        return opened
    if current_app.conf.task_always_eager:
        return opened  # there is no tick that would publish the others
    for step in opened[AT_ONCE:]:
        step.publish_count, step.due_at = 0, now
    return opened[:AT_ONCE]


def publish_steps(steps: Sequence[Step | Item]) -> None:
    """Send the attempts of these QUEUED steps or items.

    Stop at the first that cannot be sent: waiting for the broker at each of them would block a
    request or a worker for minutes. A tick sends the rest.
    """
    for step in steps:
        options: dict[str, Any] = {"queue": step.queue} if step.queue else {}
        if step.priority is not None:
            options["priority"] = step.priority
        task = current_app.tasks.get(step.task)
        with about(step), tracing.under(step.run):
            sent = _send(
                step.task,
                str(step.task_id),
                step.kwargs or {},
                # A child's end is recorded in our rows; Celery's own write after that would create
                # its deleted TaskResult again. A foreign task's result is all that we get.
                ignore_result=isinstance(task, ChildTask),
                headers={host.HEADER: attempt_header(step)},
                **options,
            )
        if not sent:
            return


def attempt_header(step: Step | Item) -> dict[str, Any]:
    """The message header with all that a claim needs, which saves a query."""
    if isinstance(step, Item):
        # None: the claim of an item does not make the run's row due. The counts of the items do.
        return {**_header(step, None), "mapped": step.step.name}
    return _header(step, run_row_due(step))


def _header(step: Step | Item, look_at: datetime | None) -> dict[str, Any]:
    return {
        "run": str(step.run_id),
        "workflow": step.run.workflow,
        "step": step.name,
        "attempt": step.attempt,
        "look_at": look_at and look_at.isoformat(),
        "interval": step.poll_interval,
        "run_timeout": step.run_timeout,
        "stall_timeout": step.stall_timeout,
    }


def run_row_due(step: Step) -> datetime | None:
    """When a tick must update the run's row if this QUEUED step is claimed; None if never."""
    # A running step makes its run STARTED, so the row of a PENDING run is about to be stale.
    pending = step.run.state == RunState.PENDING
    return step.run.mirrored_at + SOON if pending or is_run_row_stale(step) else None


def is_run_row_stale(step: Step) -> bool:
    """Whether the row of the run is older than the state of this active step."""
    run = step.run
    if run.state == RunState.PENDING and step.state == StepState.RUNNING:
        return True
    return step.queued_at is not None and run.mirrored_at < step.queued_at


def _send(name: str, task_id: str, kwargs: Mapping[str, Any], **options: Any) -> bool:
    if _publishing_off.get():
        return True
    try:
        # Through the task if it is registered here: its own queue, priority and limits apply.
        task = current_app.tasks.get(name)
        send = task.apply_async if task else lambda **kw: current_app.send_task(name, **kw)
        options |= {"kwargs": dict(kwargs), "task_id": task_id, "retry_policy": RETRY}
        if task and current_app.conf.task_always_eager:
            # An error of the step is its outcome. `task_eager_propagates` would raise it here, and
            # the steps beside it would never be sent.
            options["throw"] = False
        timeout = _send_timeout.get()
        if timeout is None:
            send(**options)
        else:
            call_with_timeout(timeout, lambda: send(**options))
    except (OperationalError, OSError) as exc:
        logger.warning("broker: %s; a tick will publish %s[%s]", exc, name, task_id)
        return False
    except QueueNotFound as exc:  # those beside it go on; its queue timeout ends this one
        logger.error("celery: %s, so %s[%s] cannot be sent", exc.args[0], name, task_id)
    return True


def queue_problem(queue: str, task: str) -> str | None:
    """Why Celery sends nothing to the `queue` of a task, or to its own; None if it does."""
    queue = queue or getattr(current_app.tasks.get(task), "queue", None) or ""
    try:
        current_app.amqp.router.route({"queue": queue} if queue else {}, task)
    except QueueNotFound as exc:
        return str(exc.args[0])
    return None


def queue_of(row: Step | Item | Run) -> str:
    """The queue of the row's messages."""
    if isinstance(row, Run):
        return _default_queue(parent_task_name(row.workflow))
    return row.queue or _default_queue(row.task)


@cache
def _default_queue(name: str) -> str:
    """The queue that Celery publishes a task to, by the task's option or the routes."""
    own = getattr(current_app.tasks.get(name), "queue", None)
    router = current_app.amqp.router
    try:
        queue = own or router.route({}, name).get("queue")
    except QueueNotFound:  # nothing is sent there, and no tick may fail by it
        route = router.lookup_route(name, (), {}, {}) or {}
        queue = route if isinstance(route, str) else route.get("queue")
    queue = queue or current_app.conf.task_default_queue
    return str(getattr(queue, "name", queue))


def missing_messages(expected: Mapping[str, int]) -> Counter[str]:
    """How many of the `expected` messages are missing in each queue.

    The counter is empty if the broker does not answer: nothing could be published either.
    """
    queues: Any = current_app.amqp.queues
    try:
        with cast("Any", current_app.connection_for_write()) as connection:
            connection.ensure_connection(**RETRY)
            channel = connection.default_channel
            # Declare as Celery does: an AMQP broker rejects a declaration that differs.
            declared: dict[str, Any] = {
                name: (queues.get(name) or queues.new_missing(name))(channel) for name in expected
            }
            waiting = {name: queue.queue_declare()[1] for name, queue in declared.items()}
            return Counter({name: max(0, expected[name] - int(waiting[name])) for name in expected})
    except Exception as exc:  # each transport raises errors of its own
        logger.warning("broker: %s; nothing is published again until it answers", exc)
        return Counter()
