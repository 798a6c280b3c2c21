"""Celery tasks that are no children of ours, run as steps: Celery's signals speak for them.

In a worker without this project's code nothing claims them: their messages are sent again while
they run, so give them workers of ours.
"""

from contextlib import ExitStack
from typing import Any

from celery import signals, states

from children import host
from children.errors import ChildError
from children.isolation.connections import close_connections
from children.isolation.context import kept_context
from children.isolation.process_state import kept_process_state
from children.meta import parse
from children.task import ChildTask
from parent.watch.decide import with_step_name
from parent.worker.engine_thread import EngineThread, SameThread, engine_thread
from parent.worker.running_attempt import RunningAttempt

__all__ = ["connect"]


def connect() -> None:
    """Listen to the signals of this process."""
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
    # A signal cannot keep a second delivery from running, as a child's claim does; the
    # first to finish counts.
    RunningAttempt(task_id, task.name, header, _thread(task)).claim()
    if not task.request.is_eager:
        task.request.kept = kept = ExitStack()
        kept.enter_context(kept_context())
        kept.enter_context(kept_process_state())


def _on_postrun(task_id: str, task: Any, retval: Any, state: str | None, **_: Any) -> None:
    header = _header(task)
    if header is None:
        return
    if kept := getattr(task.request, "kept", None):
        kept.close()
        # Before the end is recorded: a transaction that was left open may hold a row of ours.
        close_connections()
    if state not in states.READY_STATES:
        return
    # Celery has stored its result by now.
    attempt = RunningAttempt(task_id, task.name, header, _thread(task), reported=True)
    error = retval if isinstance(retval, Exception) else ChildError(str(retval))
    attempt.finish(with_step_name(header["step"], parse(state, retval)), None, error)
