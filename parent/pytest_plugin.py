"""A pytest fixture that runs a workflow to its end in one line. It needs pytest-django.

In the `conftest.py` beside your `pyproject.toml`: `pytest_plugins = ["parent.pytest_plugin"]`.
"""

from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from parent.definition.workflow import Workflow
    from parent.models import Run

__all__ = ["RunWorkflow", "run_workflow"]


class RunWorkflow(Protocol):
    """What the fixture `run_workflow` is."""

    def __call__(
        self, workflow: "Workflow", /, *, owner: "User | None" = None, **params: Any
    ) -> "Run":
        """Run the workflow to its end, without broker or worker; see `parent.inline.run_inline`.

        Returns:
            The run, which was successful, or only waits for a signal or an approval.

        Raises:
            RunFailed: a step failed. The tracebacks of the steps that failed are its notes.
            InvalidParams, InvalidWorkflow: as `start()` does.
        """


@pytest.fixture
def run_workflow(db: None) -> RunWorkflow:  # noqa: ARG001 - pytest-django's: a transaction
    """Runs a workflow to its end in the test's transaction; raises `RunFailed` if it fails."""
    from children.sanitize import one_line  # noqa: PLC0415 - Django is set up after this module
    from parent.errors import RunFailed  # noqa: PLC0415
    from parent.inline import run_inline  # noqa: PLC0415

    def run(workflow: "Workflow", /, *, owner: "User | None" = None, **params: Any) -> "Run":
        ended = run_inline(workflow, owner=owner, **params)
        if ended.error is None:
            return ended
        error = RunFailed(one_line(ended.error))
        for step in ended.steps.exclude(traceback=None).exclude(traceback=""):
            error.add_note(f"Step {step.name!r}:\n{step.traceback}")
        raise error

    return run
