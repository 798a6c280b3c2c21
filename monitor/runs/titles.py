"""The titles that people see instead of the names of workflows and steps.

A title is in the workflow's code and in no row. So a workflow that this process does not know, and
a step that its workflow no longer has, are shown by their names.
"""

from collections.abc import Iterable, Mapping

from parent.definition.workflow import Workflow, registry
from parent.errors import UnknownWorkflow
from parent.models import Step, StepState

__all__ = ["step_titles", "titled_reason", "titles_with", "with_title", "workflow_title"]


def workflow_title(name: str) -> str:
    """The title of the workflow with that name."""
    workflow = _known(name)
    return name if workflow is None else workflow.shown_title


def step_titles(workflow: str, names: Iterable[str]) -> dict[str, str]:
    """The titles of these steps of the workflow with that name, by the steps' names."""
    known = _known(workflow)
    steps = {} if known is None else known.by_label
    return {name: steps[name].shown_title if name in steps else name for name in names}


def with_title(workflow: str, message: str) -> str:
    """A run's message, `<step>: <what its child says>`, with the step's title."""
    name, colon, rest = message.partition(": ")
    return f"{step_titles(workflow, [name])[name]}{colon}{rest}"


def titled_reason(step: Step, titles: Mapping[str, str]) -> str:
    """The message of a skipped step, `skipped: <step> failed`, with that step's title.

    Empty for any other step.
    """
    if step.state != StepState.SKIPPED:
        return ""
    said, colon, reason = step.message.partition(": ")
    for name in step.after:
        if reason.startswith(f"{name} "):
            reason = titles.get(name, name) + reason.removeprefix(name)
            break
    return f"{said}{colon}{reason}" or "skipped"


def titles_with(text: str) -> list[str]:
    """The names of the workflows with this text in their titles, in upper or lower case."""
    text = text.casefold()
    return [each.name for each in registry.workflows() if text in each.shown_title.casefold()]


def _known(name: str) -> Workflow | None:
    try:
        return registry.get(name)
    except UnknownWorkflow:
        return None
