"""Celery tasks that are no children of ours, run as steps: Celery's signals speak for them.

In a worker without this project's code nothing claims them: their messages are sent again while
they run, so give them workers of ours.
"""

from typing import Any

from celery import signals, states

from children import host
from children.errors import ChildError
from children.meta import parse
from children.task import ChildTask
from parent.engine import RunningAttempt
from parent.watch import named

__all__ = ["connect"]


def connect() -> None:
    """Listen to the signals of this process."""
    signals.task_prerun.connect(_on_prerun, dispatch_uid="parent.foreign.prerun")
    signals.task_postrun.connect(_on_postrun, dispatch_uid="parent.foreign.postrun")


def _header(task: Any) -> Any:
    if isinstance(task, ChildTask):
        return None
    return (task.request.headers or {}).get(host.HEADER)


def _on_prerun(task_id: str, task: Any, **_: Any) -> None:
    header = _header(task)
    if header is not None:
        # A signal cannot keep a second delivery from running, as a child's claim does; the
        # first to finish counts.
        RunningAttempt(task_id, task.name, header).claim()


def _on_postrun(task_id: str, task: Any, retval: Any, state: str | None, **_: Any) -> None:
    header = _header(task)
    if header is None or state not in states.READY_STATES:
        return
    # Celery has stored its result by now.
    attempt = RunningAttempt(task_id, task.name, header, reported=True)
    error = retval if isinstance(retval, Exception) else ChildError(str(retval))
    attempt.finish(named(header["step"], parse(state, retval)), None, error)
