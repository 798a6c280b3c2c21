"""The parent tasks, one for each workflow: they start a run and give back their slot at once."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from celery import Task, shared_task
from celery.exceptions import Ignore

from parent.errors import RunFailed, WorkflowError
from parent.store.outage import outlast

if TYPE_CHECKING:
    from parent.definition.workflow import Workflow

__all__ = ["ParentTask", "make_parent_task"]


class ParentTask(Task):  # type: ignore[type-arg]
    """Starts the run whose id is its own, for a client that has Celery but not our database.

    A run that has rows already is only asked to go on, which is what ticks send this task for:
    to find a worker that knows the run's steps.
    """

    abstract = True
    # Celery's own STARTED would overwrite every column of a row that says more.
    track_started = False
    Request = "children.loop_wakeup:WakingRequest"
    workflow: "Workflow"

    def run(self, /, **params: Any) -> Any:
        if self.request.called_directly or self.request.is_eager:
            return self._run_inline(params)
        run_id = self._run_id()
        outlast(f"start {run_id}", lambda: self._start(run_id, params))
        # The rows have the word from here on. `Ignore` leaves the stored state alone.
        raise Ignore

    def _start(self, run_id: UUID, params: dict[str, Any]) -> None:
        from parent.models import Run  # noqa: PLC0415
        from parent.runs.advance import go_on  # noqa: PLC0415 - needs Django's apps loaded
        from parent.runs.start import start  # noqa: PLC0415

        if Run.objects.filter(pk=run_id).exists():
            go_on(run_id)
        else:
            start(self.workflow, params, run_id=run_id)

    def _run_id(self) -> UUID:
        try:
            return UUID(str(self.request.id))
        except ValueError:
            raise WorkflowError(
                f"A run's id is a UUID, not {self.request.id!r}: leave task_id to Celery."
            ) from None

    def _run_inline(self, params: dict[str, Any]) -> Any:
        from parent.inline import run_inline  # noqa: PLC0415

        run = run_inline(self.workflow, **params)
        if run.error is not None:
            raise RunFailed(run.error)
        return run.result


def make_parent_task(workflow: "Workflow") -> Any:
    """Register `parent.<workflow>`."""
    register = shared_task(name=workflow.task_name, base=ParentTask, bind=True, workflow=workflow)
    body: Any = ParentTask.run
    return register(body)
