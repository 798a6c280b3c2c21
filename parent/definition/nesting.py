"""A workflow as a step of another one: what is wrong with such a step, and circles of them."""

from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

from parent.definition.mapping import Map
from parent.definition.name_lists import join_names
from parent.definition.workflow import Step, Workflow

__all__ = ["circle_of", "nested_problems"]

OF_A_MESSAGE = ("queue", "priority", "queue_timeout", "stall_timeout", "poll_interval")
"""Options of a step that concern its message or its child's reports; a workflow has neither."""


def nested_problems(step: Step) -> Iterator[tuple[str, str]]:
    """What is wrong with a step that runs a workflow, each with a hint. Of others nothing is."""
    if not step.nested:
        return
    what = f"step {step.label!r} runs the workflow {step.nested!r}"
    if isinstance(step, Map) and step.chunk != 1:
        yield (
            f"{what} over items, and has chunk={step.chunk!r}, which belongs to a message",
            "Leave chunk out: each item is a run of its own. max_active says how many go on.",
        )
    for name in OF_A_MESSAGE:
        if getattr(step, name) is not None:
            yield (
                f"{what} and has {name}={getattr(step, name)!r}, which belongs to a child",
                f"Give {name} to the steps of {step.nested!r}.",
            )
    if step.retries:
        yield (
            f"{what} and has retries={step.retries}, which belong to a child",
            f"Give the retries to the steps of {step.nested!r}.",
        )


def circle_of(workflow: Workflow, workflows: Iterable[Workflow]) -> str:
    """The circle in which this workflow contains itself, as text; empty if it does not."""
    contains = {each.name: {step.nested for step in each.steps} - {""} for each in workflows}
    reached, unread = set[str](), [workflow.name]
    while unread:
        unread += (new := contains.get(unread.pop(), set()) - reached)
        reached |= new
    if workflow.name not in reached:
        return ""
    try:
        TopologicalSorter({name: contains.get(name, ()) for name in reached}).prepare()
    except CycleError as exc:
        return join_names(list(reversed(exc.args[1])), " -> ")
    return ""
