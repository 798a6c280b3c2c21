"""Foreign tasks (plain Celery tasks as steps): Celery's signals claim and finish them.

In a worker without this project's code nothing claims them, so their messages are sent again while
they run. Run them in workers of this project.
"""

from contextlib import ExitStack
from typing import Any

from celery import signals, states

from children import host
from children.errors import ChildError
from children.isolation.connections import close_connections, kept_transaction
from children.isolation.context import kept_context
from children.isolation.process_state import kept_process_state
from children.meta import parse
from children.task import ChildTask
from parent.watch.decide import with_step_name
from parent.worker.engine_thread import EngineThread, SameThread, engine_thread
from parent.worker.running_attempt import RunningAttempt

__all__ = ["connect"]


def connect() -> None:
    """Connect to Celery's signals in this process."""
    signals.task_prerun.connect(_on_prerun, dispatch_uid="parent.worker.foreign_tasks.prerun")
    signals.task_postrun.connect(_on_postrun, dispatch_uid="parent.worker.foreign_tasks.postrun")


def _header(task: Any) -> Any:
    if isinstance(task, ChildTask):
        return None
    return (task.request.headers or {}).get(host.HEADER)


def _thread(task: Any) -> EngineThread | SameThread:
    return SameThread() if task.request.is_eager else engine_thread()


def _on_prerun(task_id: str, task: Any, **_: Any) -> None:
    header = _header(task)
    if header is None:
        return
    # Unlike a child's claim, a signal cannot stop a duplicate delivery. The first to finish
    # counts.
    RunningAttempt(task_id, header, _thread(task)).claim()
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
    if kept := getattr(task.request, "kept", None):
        kept.close()
        if not task.request.is_eager:
            # Before recording the end: a transaction that the body left open may lock our rows.
            close_connections()
    if state not in states.READY_STATES:
        return
    # Celery has already stored the result.
    attempt = RunningAttempt(task_id, header, _thread(task), has_result=True)
    error = retval if isinstance(retval, Exception) else ChildError(str(retval))
    attempt.finish(with_step_name(header["step"], parse(state, retval)), None, error)
