"""A workflow as a step of another one: what is wrong with such a step, and circles of them."""

from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

from parent.conf import nesting_limit
from parent.definition.mapping import Map
from parent.definition.name_lists import join_names
from parent.definition.workflow import Step, Workflow

__all__ = ["circle_of", "nested_problems"]

OF_A_MESSAGE = ("queue", "priority", "queue_timeout", "stall_timeout", "poll_interval")
"""Options of a step that concern its message or its child's reports; a workflow has neither."""


def nested_problems(step: Step) -> Iterator[tuple[str, str]]:
    """What is wrong with a step that runs a workflow, each with a hint."""
    yield from _depth_problems(step)
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


def _depth_problems(step: Step) -> Iterator[tuple[str, str]]:
    depth: object = step.max_depth
    if depth is None:
        return
    what, most = f"step {step.label!r} has max_depth={depth!r}", nesting_limit() + 1
    if not step.nested:
        yield f"{what}, and runs no workflow", "Leave max_depth out."
    elif not isinstance(depth, int) or isinstance(depth, bool) or depth < 2:
        yield (
            f"{what}, and the run that it stands in counts too",
            "Give a whole number from 2: the run and one inside of it.",
        )
    elif depth > most:
        yield (
            f"{what}, and with WORKFLOW_NESTING_LIMIT no more than {most} runs may be inside of "
            "each other",
            f"Give at most {most}, or raise the setting.",
        )


def circle_of(workflow: Workflow, workflows: Iterable[Workflow]) -> str:
    """The circle in which this workflow contains itself without a bound, as text; empty if it does
    not. A circle has a bound if one of its steps has a `max_depth`.
    """
    known = {each.name: each.steps for each in workflows}
    contains, unread = dict[str, set[str]](), {workflow.name}
    while unread:  # only what is inside of it: all workflows are checked, one after another
        name = unread.pop()
        unbounded = (step for step in known.get(name, ()) if step.max_depth is None)
        contains[name] = {step.nested for step in unbounded} - {""}
        unread |= contains[name] - contains.keys()
    if not any(workflow.name in inside for inside in contains.values()):
        return ""
    try:
        TopologicalSorter(contains).prepare()
    except CycleError as exc:
        return join_names(list(reversed(exc.args[1])), " -> ")
    return ""
