"""The workflows of this process, by name."""

from typing import TYPE_CHECKING

from parent.errors import UnknownWorkflow

if TYPE_CHECKING:
    from parent.definition.workflow import Workflow

__all__ = ["duplicates", "get", "names", "register", "workflows"]

_workflows: "dict[str, Workflow]" = {}
_duplicates: list[str] = []


def register(workflow: "Workflow") -> None:
    """Add a workflow. A second one of the same name is kept out, and found by a system check."""
    if workflow.name in _workflows:
        _duplicates.append(workflow.name)
    else:
        _workflows[workflow.name] = workflow


def get(name: str) -> "Workflow":
    """The workflow of that name.

    Raises:
        UnknownWorkflow: none is registered here.
    """
    try:
        return _workflows[name]
    except KeyError:
        known = ", ".join(names()) or "none"
        raise UnknownWorkflow(f"There is no workflow {name!r}; registered are: {known}.") from None


def names() -> list[str]:
    return sorted(_workflows)


def workflows() -> "list[Workflow]":
    return [_workflows[name] for name in names()]


def duplicates() -> list[str]:
    return list(_duplicates)
