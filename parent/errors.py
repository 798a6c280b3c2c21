"""The engine's errors. Each docstring and each message says what happened and what to do."""

from typing import Any

__all__ = [
    "AlreadyRunning",
    "CannotRetry",
    "EndedByEngine",
    "InsideRun",
    "InvalidParams",
    "InvalidRetry",
    "InvalidSchedule",
    "InvalidWorkflow",
    "KeyReused",
    "RunActive",
    "RunEnded",
    "RunFailed",
    "ScheduleGone",
    "SignalClosed",
    "SignalGiven",
    "SignalInTransaction",
    "TransactionEnded",
    "UnknownOwner",
    "UnknownRun",
    "UnknownSchedule",
    "UnknownSignal",
    "UnknownStep",
    "UnknownWorkflow",
    "WorkflowError",
]


class WorkflowError(Exception):
    """Base of the engine's errors."""


class AlreadyRunning(WorkflowError):
    """As many runs go on as the workflow allows, so none was started. Wait for the end of `run`."""

    def __init__(self, message: str, run: Any) -> None:
        super().__init__(message)
        self.run = run


class InvalidParams(WorkflowError):
    """The parameters do not fit the workflow's serializer. Correct the fields that `errors` names.

    `errors` is a dict of a list of messages for each field.
    """

    def __init__(self, errors: Any) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        if not isinstance(self.errors, dict):
            return str(self.errors)
        return "; ".join(f"{name}: {_line(errors)}" for name, errors in self.errors.items())


def _line(errors: Any) -> str:
    return " ".join(map(str, errors)) if isinstance(errors, list) else str(errors)


class InvalidWorkflow(WorkflowError):
    """The workflow's steps can never all run. Correct what `manage.py check` lists."""


class UnknownWorkflow(WorkflowError):
    """No workflow of that name is registered in this process. Add its app to INSTALLED_APPS."""


class UnknownStep(WorkflowError):
    """This process's version of the workflow has no such step. Correct the name of the step.

    Where the name is from a run, another version of the code has started it: let a worker with
    that version continue it.
    """


class RunActive(WorkflowError):
    """The run has not ended, so it cannot be deleted. Wait for its end, or cancel it."""


class InsideRun(WorkflowError):
    """The run is a step of another one, with which it is deleted. Delete that one."""


class RunEnded(WorkflowError):
    """The run has ended already, so it cannot be cancelled. Nothing is left to do."""


class CannotRetry(WorkflowError):
    """Only a failed or cancelled run can be retried. Wait for its end, or start a new run.

    A child run is retried with the run in which it is a step.
    """


class InvalidRetry(WorkflowError):
    """A retry names a step that the run does not have, or its values are not JSON.

    Correct the request: the message says what does not fit.
    """


class KeyReused(WorkflowError):
    """A start with other parameters has used this idempotency key. Use a new key."""


class InvalidSchedule(WorkflowError):
    """A schedule's fields do not say when and how to start. Correct the fields in `errors`.

    `errors` is a dict of a list of messages for each field.
    """

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        return "; ".join(f"{name}: {_line(errors)}" for name, errors in self.errors.items())


class UnknownSchedule(WorkflowError):
    """There is no such schedule. Take its name from the list of schedules."""


class ScheduleGone(WorkflowError):
    """The code does not have this schedule any more. Start the workflow itself instead."""


class TransactionEnded(WorkflowError):
    """An author's function ended the engine's transaction, over the driver's own connection. Let it
    only read. `run_id` is the run that cannot go on.
    """

    def __init__(self, message: str, run_id: Any = None) -> None:
        super().__init__(message)
        self.run_id = run_id


class UnknownOwner(WorkflowError):
    """A run is to belong to a user that does not exist. Correct the name, or leave it out."""


class UnknownRun(WorkflowError):
    """No run has this id: the id is wrong, or the run was deleted. Check the id."""


class UnknownSignal(WorkflowError):
    """The run takes no signal or approval of this name. Correct the name."""


class SignalGiven(WorkflowError):
    """The signal was given before with other values, and the first one counts. Nothing to do."""


class SignalClosed(WorkflowError):
    """The signal cannot be given any more: its run or its step has ended, or it was closed."""


class SignalInTransaction(WorkflowError):
    """A child gave a signal inside a transaction, which may be rolled back. Give it after that."""


class EndedByEngine(WorkflowError):
    """The engine ended a child or a run: it passed a time limit, or its worker died.

    Receivers of Celery's signal `task_failure` get it; nothing raises it to a caller.
    """


class RunFailed(WorkflowError):
    """The run has failed, with this error of a step. Correct the cause, then retry the run.

    `AsyncResult(run_id).get()` raises it.
    """
