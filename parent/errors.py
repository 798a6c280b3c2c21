"""What the engine raises. Each docstring says what happened and what to do."""

from typing import Any

__all__ = [
    "CannotRetry",
    "EndedByEngine",
    "InvalidParams",
    "InvalidRetry",
    "InvalidWorkflow",
    "KeyReused",
    "RunActive",
    "RunEnded",
    "RunFailed",
    "UnknownRun",
    "UnknownStep",
    "UnknownWorkflow",
    "WorkflowError",
]


class WorkflowError(Exception):
    """Base of the engine's errors."""


class InvalidParams(WorkflowError):
    """The parameters do not fit the workflow's serializer. `errors` has a list per field."""

    def __init__(self, errors: Any) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        if not isinstance(self.errors, dict):
            return str(self.errors)
        return "; ".join(f"{name}: {_line(told)}" for name, told in self.errors.items())


def _line(told: Any) -> str:
    return " ".join(map(str, told)) if isinstance(told, list) else str(told)


class InvalidWorkflow(WorkflowError):
    """The workflow's steps can never all run. `manage.py check` names every problem."""


class UnknownWorkflow(WorkflowError):
    """No workflow of that name is registered in this process. Is its app in INSTALLED_APPS?"""


class UnknownStep(WorkflowError):
    """The workflow has no such step: the run was started by another version of the code."""


class RunActive(WorkflowError):
    """The run has not ended yet. Wait for its end, or cancel it."""


class RunEnded(WorkflowError):
    """The run has ended already: there is nothing left to cancel."""


class CannotRetry(WorkflowError):
    """The run can not be retried now: only one that has failed or was cancelled can."""


class InvalidRetry(WorkflowError):
    """What a retry asks for does not fit the run: a step is not its own, or values are no JSON."""


class KeyReused(WorkflowError):
    """This idempotency key has started another run. Take a new key for another start."""


class UnknownRun(WorkflowError):
    """There is no run of this id: it is wrong, or the run was deleted."""


class EndedByEngine(WorkflowError):
    """A child or a run passed a limit, or its worker died. Celery's `task_failure` carries it."""


class RunFailed(WorkflowError):
    """What `AsyncResult(run_id).get()` raises for a failed run: the failed step's error."""
