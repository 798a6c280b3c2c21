"""The titles that people see instead of the names of workflows and steps.

A title is in the workflow's code and in no row. So a workflow that this process does not know, and
a step that its workflow no longer has, are shown by their names.
"""

import re
from collections.abc import Iterable, Mapping

from children.sanitize import one_line
from parent.definition.workflow import Workflow, registry
from parent.errors import UnknownWorkflow
from parent.models import Item, Run, Step, StepState

__all__ = [
    "all_titles",
    "shown_errors",
    "step_titles",
    "titled_error",
    "titled_reason",
    "titles_with",
    "with_title",
    "workflow_title",
]

BEGINNING = re.compile(
    r"((?:Error in )?(?:the \w+ of )?)(?P<name>[^\s:\[]+)"
    r"(?P<key>\[[^\n]*?\](?=:? ))?(?P<inside>: )?"
)
"""How an error of the engine's begins: `Error in load: `, or `load did not start`."""
ITEM = re.compile(r"(?<=[.;] )(?P<name>[^\s:\[]+)(?=\[)")
"""An item that an error names: `load[7]` in `3 of 9 items failed. load[7]: no such file`."""


def workflow_title(name: str) -> str:
    """The title of the workflow with that name."""
    workflow = _known(name)
    return name if workflow is None else workflow.shown_title


def step_titles(workflow: str, names: Iterable[str]) -> dict[str, str]:
    """The titles of these steps of the workflow with that name, by the steps' names."""
    known = _known(workflow)
    steps = {} if known is None else known.by_label
    return {name: steps[name].shown_title if name in steps else name for name in names}


def all_titles(workflow: str) -> dict[str, str]:
    """The titles of all steps that the workflow has in the code, by the steps' names."""
    known = _known(workflow)
    return {} if known is None else step_titles(workflow, known.by_label)


def with_title(workflow: str, message: str) -> str:
    """A run's message, `<step>: <what its child says>`, with the step's title.

    If the child is a run, so is what it says.
    """
    name, colon, rest = message.partition(": ")
    known = _known(workflow)
    step = None if known is None else known.by_label.get(name)
    if step is None:
        return message
    return f"{step.shown_title}{colon}{with_title(step.nested, rest) if step.nested else rest}"


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


def titled_error(error: str, workflow: str) -> str:
    """The error of a run, a step or an item, with the titles of the steps that it names.

    If the error comes from a run inside of this one, the titles are those of that run's workflow.
    The child's own words stay as they are.
    """
    known, found = _known(workflow), BEGINNING.match(error)
    step = known and found and known.by_label.get(found["name"])
    if not (known and found and step):
        return error
    rest = error[found.end() :]
    if step.nested and found["inside"]:
        rest = titled_error(rest, step.nested)
    titles = step_titles(workflow, known.by_label)
    rest = ITEM.sub(lambda item: titles.get(item["name"], item["name"]), rest)
    return f"{found[1]}{step.shown_title}{found['key'] or ''}{found['inside'] or ''}{rest}"


def shown_errors(run: Run, rows: Iterable[Run | Step | Item]) -> dict[str, str]:
    """The errors of these rows as pages show them, by the one line that the API has of each.

    They have their line breaks, and titles in the place of the names of steps.
    """
    errors = {row.error for row in rows if row.error}
    return {one_line(error): titled_error(error, run.workflow) for error in errors}


def titles_with(text: str) -> list[str]:
    """The names of the workflows with this text in their titles, in upper or lower case."""
    text = text.casefold()
    return [each.name for each in registry.workflows() if text in each.shown_title.casefold()]


def _known(name: str) -> Workflow | None:
    try:
        return registry.get(name)
    except UnknownWorkflow:
        return None
