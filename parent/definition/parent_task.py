"""The parent tasks, one per workflow: they start a run and free their slot at once."""

from typing import Any
from uuid import UUID

from celery import Task
from celery.exceptions import Ignore

from parent.definition.runtime import runtime
from parent.errors import RunFailed, WorkflowError

__all__ = ["ParentTask"]


class ParentTask(Task):  # type: ignore[type-arg]
    """Starts the run whose id is the task's own id, for a client without our database.

    A tick sends this task too, for a run that has rows already: to find a worker that knows the
    run's steps.
    """

    abstract = True
    # Celery's own STARTED would overwrite every column of a row that says more.
    track_started = False
    Request = "children.worker.loop_wakeup:WakingRequest"
    workflow: Any
    """The `Workflow` that it starts."""

    def run(self, /, **params: Any) -> Any:
        if self.request.called_directly or self.request.is_eager:
            return self._run_inline(params)
        runtime().start_or_continue(self.workflow, params, self._run_id())
        # From here on the rows hold the state. `Ignore` keeps Celery from storing another.
        raise Ignore

    def _run_id(self) -> UUID:
        try:
            return UUID(str(self.request.id))
        except ValueError:
            raise WorkflowError(
                f"A run's id is a UUID, not {self.request.id!r}: leave task_id to Celery."
            ) from None

    def _run_inline(self, params: dict[str, Any]) -> Any:
        run = runtime().run_inline(self.workflow, params)
        if run.error is not None:
            raise RunFailed(run.error)
        return run.result
