"""Validation of a declared workflow: its steps, their names, order and options."""

import math
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from children.declaration.retrying import MOST_RETRIES
from parent.conf import limit_sizes
from parent.definition.concurrency import concurrency_problems
from parent.definition.mapping import map_problems
from parent.definition.name_lists import join_names
from parent.definition.validation.nesting import nested_problems
from parent.setting_values import LONGEST_TIME

if TYPE_CHECKING:
    from parent.definition.workflow import Step, Workflow

__all__ = ["TIMES", "steps_problems"]

LONGEST_NAME = 100  # characters, in the step's row, as the next two
LONGEST_TASK = LONGEST_QUEUE = 255
LAST_PRIORITY = 9
WHEN = ("ok", "failed", "always")
MOST_BACKOFF = 10
TIMES = ("queue_timeout", "run_timeout", "stall_timeout", "poll_interval", "retry_delay")


def steps_problems(workflow: "Workflow") -> Iterator[tuple[str, str]]:
    """The problems that keep the steps from ever running, each with a hint."""
    labels = Counter(step.label for step in workflow.all_steps)
    if not workflow.steps:
        yield "it has no steps", "Give it at least one Step."
    yield from _time_problem("it has timeout", workflow.timeout)
    yield from concurrency_problems(workflow.concurrency, workflow.params)
    for label in sorted(label for label, count in labels.items() if count > 1):
        yield f"two steps are named {label!r}", 'Tell them apart: Step(..., name="...").'
    for step in workflow.all_signals:
        yield from _name_problems(step)
        yield from _limits_problems(step)
    for step in workflow.steps:
        yield from _step_problems(step)
        yield from map_problems(step)
        yield from nested_problems(step)
        yield from _limits_problems(step)
        yield from _order_problems(workflow, step)
        if isinstance(step.after, str):
            yield (
                f"step {step.label!r} comes after the text {step.after!r}",
                f"Write a list of names: after=[{step.after!r}].",
            )
            continue
        for name in workflow.after(step):
            if name not in labels:
                yield (
                    f"step {step.label!r} comes after {name!r}, "
                    "which is not a step of this workflow",
                    f"Its steps are: {join_names(list(labels))}.",
                )
    try:
        order = {step.label: workflow.after(step) for step in workflow.all_steps}
        TopologicalSorter(order).prepare()
    except CycleError as exc:
        circle = join_names(list(reversed(exc.args[1])), " -> ")
        yield f"its steps wait for each other: {circle}", "Remove one of these `after`."


def _order_problems(workflow: "Workflow", step: "Step") -> Iterator[tuple[str, str]]:
    if step.when == "failed" and not workflow.after(step):
        yield (
            f"step {step.label!r} runs when one of the steps before it fails, but comes after none",
            'Say after which: Step(..., when="failed", after=["..."]).',
        )
    before = [workflow.by_label.get(name) for name in workflow.after(step)]
    if step.when == "ok" and step.after is None and any(s and s.when == "failed" for s in before):
        yield (
            f"step {step.label!r} would run only after {workflow.after(step)[0]!r}, and so only "
            "after a failure",
            "Say what it comes after, Step(..., after=[...]); or give it a `when` too.",
        )


def _name_problems(step: "Step") -> Iterator[tuple[str, str]]:
    if not 0 < len(step.label) <= LONGEST_NAME:
        yield (
            f"a {'signal' if step.awaits else 'step'} has the name {step.label!r}",
            f'Give it one of 1 to {LONGEST_NAME} characters: Step(..., name="...").',
        )
    in_url = step.awaits or hasattr(step, "over")
    if in_url and ("/" in step.label or step.label in (".", "..")):
        what = "its items" if hasattr(step, "over") else "what is given to it"
        yield (
            f"{step.label!r} is a name that cannot stand in the URL of {what}",
            'Write it without "/", and not as dots alone: name="...".',
        )


def _step_problems(step: "Step") -> Iterator[tuple[str, str]]:
    yield from _name_problems(step)
    if step.when not in WHEN:
        yield f"step {step.label!r} has when={step.when!r}", "Give 'ok', 'failed' or 'always'."
    if not isinstance(step.optional, bool):
        yield f"step {step.label!r} has optional={step.optional!r}", "Give True or False."
    if not 0 < step.weight < math.inf:
        yield f"step {step.label!r} has weight {step.weight}", "A weight is a number above 0."
    if len(step.task_name) > LONGEST_TASK:
        yield (
            f"step {step.label!r} has a task with a name of {len(step.task_name)} characters",
            f"Give the task a name of at most {LONGEST_TASK}.",
        )
    if step.queue is not None and len(step.queue) > LONGEST_QUEUE:
        yield (
            f"step {step.label!r} has a queue with a name of {len(step.queue)} characters",
            f"Give the queue a name of at most {LONGEST_QUEUE}.",
        )
    if step.retries is not None and not _is_whole(step.retries, 0, MOST_RETRIES):
        yield f"step {step.label!r} has retries={step.retries}", f"Give 0 to {MOST_RETRIES}."
    if step.priority is not None and not _is_whole(step.priority, 0, LAST_PRIORITY):
        yield f"step {step.label!r} has priority={step.priority}", "Give 0, which is first, to 9."
    if not 1 <= step.backoff <= MOST_BACKOFF:
        yield f"step {step.label!r} has backoff={step.backoff}", f"Give 1 to {MOST_BACKOFF}."
    for name in TIMES:
        yield from _time_problem(f"step {step.label!r} has {name}", getattr(step, name))


def _limits_problems(step: "Step") -> Iterator[tuple[str, str]]:
    """What is wrong with the `limits` of a step; each problem with a hint."""
    names: object = step.limits
    what = f"step {step.label!r}"
    if isinstance(names, str) or not isinstance(names, list | tuple):
        yield f"{what} has limits={names!r}", 'Write a list of names: limits=["gpu"].'
        return
    if not names:
        return
    sizes = limit_sizes()
    for name in names:
        if not isinstance(name, str) or name not in sizes:
            known = join_names(list(map(str, sizes))) or "none"
            yield (
                f"{what} has the limit {name!r}, which has no size",
                f"Give it one in WORKFLOW_LIMITS; its names are: {known}.",
            )
    if len({*map(str, names)}) < len(names):
        yield f"{what} has a limit twice: {names!r}", "Name each limit once."
    if step.awaits:
        yield (
            f"{what} waits for something from outside, and has limits, which belong to a child",
            "Leave the limits out: what waits takes no place.",
        )
    if step.nested:
        yield (
            f"{what} is a workflow, and has limits, which belong to a child",
            f"Give them to the steps of {step.nested!r}, or give that a concurrency.",
        )
    if getattr(step, "chunk", 1) != 1:
        yield (
            f"{what} has limits, and chunk={step.chunk!r}",  # type: ignore[attr-defined]
            "Leave chunk out: each item takes a place of its own.",
        )


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _time_problem(what: str, seconds: float | None) -> Iterator[tuple[str, str]]:
    if seconds is not None and not 0 <= seconds <= LONGEST_TIME:
        yield f"{what} {seconds}", f"Give seconds from 0, which is never, to {LONGEST_TIME:g}."
