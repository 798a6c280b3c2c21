"""The shape of a workflow, as declared: what is wrong with it, if anything."""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parent.definitions import Workflow

__all__ = ["problems"]


def problems(workflow: "Workflow") -> Iterator[tuple[str, str]]:
    """What keeps the steps from ever running, each with its remedy."""
    labels = [step.label for step in workflow.steps]
    if not labels:
        yield "it has no steps", "Give it at least one Step."
    for label in sorted({label for label in labels if labels.count(label) > 1}):
        yield f"two steps are named {label!r}", 'Tell them apart: Step(..., name="...").'
    for step in workflow.steps:
        if not step.weight > 0:
            yield f"step {step.label!r} has weight {step.weight}", "A weight is above 0."
        for name in workflow.after(step):
            if name not in labels:
                yield (
                    f"step {step.label!r} comes after {name!r}, which is no step of it",
                    f"Its steps are: {', '.join(labels)}.",
                )
    try:
        TopologicalSorter({step.label: workflow.after(step) for step in workflow.steps}).prepare()
    except CycleError as exc:
        circle = " -> ".join(reversed(exc.args[1]))
        yield f"its steps wait for each other: {circle}", "Take one `after` of them out."
