"""The parent tasks, one per workflow. A parent task starts a run and frees its slot at once."""

from typing import Any
from uuid import UUID

from celery import Task
from celery.exceptions import Ignore
from celery.utils.saferepr import saferepr

from children.sanitize import one_line
from parent.definition.runtime import runtime
from parent.errors import RunFailed, WorkflowError

__all__ = ["NAME_PREFIX", "ParentTask", "parent_task_name"]

NAME_PREFIX = "parent."


def parent_task_name(workflow: str) -> str:
    """The Celery name of the parent task of the workflow with this name."""
    return f"{NAME_PREFIX}{workflow}"


class ParentTask(Task):  # type: ignore[type-arg]
    """Starts a run under the task's own id, for a Celery client that cannot write the rows itself.

    A tick sends this task too, for a run that has rows already: to find a worker that knows the
    run's steps, or one that sends what follows the run on Celery's canvas.
    """

    abstract = True
    # Celery's own STARTED would overwrite every column of the `TaskResult`.
    track_started = False
    Request = "children.worker.loop_wakeup:WakingRequest"
    workflow: Any
    """The `Workflow` whose runs it starts."""

    def run(self, /, *before: Any, **params: Any) -> Any:
        params = _with_result_before(before) | params
        if self.request.called_directly or self.request.is_eager:
            return self._run_inline(params)
        runtime().start_or_continue(self.workflow, params, self._run_id(), self.request)
        # The rows have the state from here on. `Ignore` keeps Celery from storing another one.
        raise Ignore

    def _run_id(self) -> UUID:
        try:
            return UUID(str(self.request.id))
        except ValueError:
            raise WorkflowError(
                f"A run's id is a UUID, not {self.request.id!r}: leave task_id to Celery."
            ) from None

    def _run_inline(self, params: dict[str, Any]) -> Any:
        run = runtime().run_inline(self.workflow, params, self.request)
        if run.error is not None:
            raise RunFailed(one_line(run.error))
        return run.result


def _with_result_before(before: tuple[Any, ...]) -> dict[str, Any]:
    """The parameters that the task before this one in a chain has returned.

    Raises:
        WorkflowError: it returned no mapping of names.
    """
    match before:
        case ():
            return {}
        case ({**params},):
            return {str(name): value for name, value in params.items()}
    raise WorkflowError(
        f"A workflow takes parameters by name, and got {saferepr(before, 200)}. Let the task "
        "before it return a dict of them, or link it with .si(...), which takes no result."
    )
