"""Foreign tasks (plain Celery tasks as steps): Celery's signals claim and finish them.

A message that comes twice runs its body once, as a child's does: the second delivery finds the step
claimed, and ends with `Ignore`. The deliveries of Celery's own retries, which have the same task
id, claim one after another.

In a worker without this project's code nothing claims them, so their messages are sent again while
they run. Run them in workers of this project.
"""

from collections.abc import Callable
from contextlib import ExitStack
from contextvars import ContextVar
from functools import wraps
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery import signals, states
from celery.app.task import Task
from celery.exceptions import Ignore, Reject
from celery.utils.log import get_logger
from django_celery_results.models import TaskResult

from children import host
from children.errors import ChildError
from children.isolation.connections import close_connections, kept_transaction
from children.isolation.context import kept_context, kept_thread
from children.isolation.process_state import kept_process_state
from children.meta import Meta, error_text, parse
from children.task import ChildTask
from children.worker.loop_wakeup import WakingRequest
from parent.definition.parent_task import ParentTask
from parent.watch.decide import with_step_name
from parent.watch.queries import stored
from parent.worker.engine_thread import EngineThread, SameThread, engine_thread
from parent.worker.running_attempt import RunningAttempt

__all__ = ["ForeignRequest", "connect", "guard_tasks"]

logger = get_logger(__name__)

REQUEST = "parent.worker.foreign_tasks:ForeignRequest"

_dropped: ContextVar[bool] = ContextVar("dropped", default=False)
"""Whether the body of the message in this context must not run."""


def connect() -> None:
    """Connect to Celery's signals in this process."""
    signals.task_prerun.connect(_on_prerun, dispatch_uid="parent.worker.foreign_tasks.prerun")
    signals.task_postrun.connect(_on_postrun, dispatch_uid="parent.worker.foreign_tasks.postrun")


def guard_tasks(app: Any) -> None:
    """Let each foreign task of the app drop duplicates, and say when its process dies.

    Call it in a worker before its pool starts: Celery reads `run` and `Request` only once.
    """
    for task in app.tasks.values():
        if isinstance(task, ChildTask | ParentTask) or task.name.startswith("celery."):
            continue
        task.run = _guarded(task.run)
        if task.Request == Task.Request:  # one with a request class of its own keeps it
            task.Request = REQUEST


def _guarded(run: Callable[..., Any]) -> Callable[..., Any]:
    # A receiver of `task_prerun` cannot stop the body: Celery only logs what it raises.
    @wraps(run)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if _dropped.get():
            raise Ignore
        with kept_thread():
            return run(*args, **kwargs)

    return guarded


class ForeignRequest(WakingRequest):
    """A request that tells the host when the process that runs a step's foreign task dies.

    Celery stores a result then only if the task stores results. If Celery requeues the message, it
    stores none, and the next delivery finds the step claimed.
    """

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        exc = getattr(exc_info.exception, "exc", exc_info.exception)  # billiard wraps exceptions
        try:
            return super().on_failure(exc_info, *args, **kwargs)
        finally:
            if isinstance(exc, WorkerLostError | Terminated):
                self._report_death(f"the worker process died while running it ({error_text(exc)})")

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        try:
            return super().on_timeout(soft, timeout)
        finally:
            if not soft:
                self._report_death(error_text(TimeLimitExceeded(timeout)))

    def _report_death(self, reason: str) -> None:
        current = host.current()
        if current is not None and host.HEADER in self.request_dict:
            current.process_died(self.id, reason)


def _header(task: Any) -> Any:
    if isinstance(task, ChildTask):
        return None
    return (task.request.headers or {}).get(host.HEADER)


def _thread(task: Any) -> EngineThread | SameThread:
    return SameThread() if task.request.is_eager else engine_thread()


def _claim_of(task_id: str, retries: int) -> UUID | None:
    """The claim that the delivery after so many of Celery's own retries makes."""
    return uuid5(NAMESPACE_OID, f"{task_id}:{retries}") if retries >= 0 else None


def _attempt(task: Any, task_id: str, header: Any, **options: Any) -> RunningAttempt:
    claim = _claim_of(task_id, task.request.retries)
    return RunningAttempt(task_id, header, _thread(task), claim=claim, **options)


def _on_prerun(task_id: str, task: Any, **_: Any) -> None:
    header = _header(task)
    if header is None:
        return
    attempt = _attempt(task, task_id, header)
    earlier = _claim_of(task_id, task.request.retries - 1)
    try:
        claimed = attempt.claim() if earlier is None else attempt.go_on_from(earlier)
    except Exception:
        # Celery would log it and run the body. A time limit is recorded as the outcome already.
        logger.exception("%s[%s] could not be claimed", task.name, task_id)
        claimed = False
    if not claimed and not task.request.is_eager:
        logger.info("%s[%s] dropped: a duplicate delivery", task.name, task_id)
        task.request.dropped = _dropped.set(True)
        return
    task.request.kept = kept = ExitStack()
    if task.request.is_eager:
        kept.enter_context(kept_transaction())
    else:
        kept.enter_context(kept_context())
        kept.enter_context(kept_process_state())


def _on_postrun(task_id: str, task: Any, retval: Any, state: str | None, **_: Any) -> None:
    header = _header(task)
    if header is None:
        return
    if (dropped := getattr(task.request, "dropped", None)) is not None:
        _dropped.reset(dropped)
        return
    if kept := getattr(task.request, "kept", None):
        kept.close()
        if not task.request.is_eager:
            # Before recording the end: a transaction that the body left open may lock our rows.
            close_connections()
    attempt = _attempt(task, task_id, header, has_result=True)
    error: Exception | None = None
    if isinstance(retval, Reject) and getattr(retval, "requeue", False):
        attempt.requeue(_claim_of(task_id, task.request.retries - 1))
        return
    if state in (states.IGNORED, states.REJECTED):
        # Celery stores nothing for these. The body may have stored a state before.
        outcome = _thread(task).start(lambda: _stored_outcome(task_id)).result()
        outcome = outcome or Meta().failed(f"the task raised {type(retval).__name__}: no result")
    elif state in states.READY_STATES:
        # Celery has already stored the result.
        error = retval if isinstance(retval, Exception) else ChildError(str(retval))
        outcome = parse(state, retval)
    else:
        return
    attempt.finish(with_step_name(header["step"], outcome), None, error)


def _stored_outcome(task_id: str) -> Meta | None:
    row = TaskResult.objects.filter(task_id=task_id).first()
    if row is None:
        return None
    kept = stored(row)
    report = parse(kept.state, kept.result)
    return report if report.final else None
