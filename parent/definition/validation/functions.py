"""Functions that a workflow's author declares, which nobody can call as the engine does."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from parent.definition.concurrency import Concurrency
from parent.definition.mapping import Map
from parent.definition.workflow import Step, Workflow

__all__ = ["function_problems"]

OF_RUN = "run, which has params, results and errors"
OF_ITEM = "item"
ASYNC = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)


class _Function(NamedTuple):
    """What it is called in a problem, and what it is called with; `is_list`: what it returns is
    gone through, so it may be a generator.
    """

    what: str
    function: Any
    argument: str
    is_list: bool = False


def function_problems(workflow: Workflow) -> Iterator[tuple[str, str]]:
    """What is wrong with how its functions are called, each with a hint."""
    for what, function, argument, is_list in _functions(workflow):
        if not callable(function):
            continue
        if any(_is(kind, function) for kind in ASYNC):
            hint = "Write it with `def`. What waits for something belongs into a child."
            yield f"{what} is a coroutine function (`async def`), and nobody awaits it", hint
        elif not is_list and _is(inspect.isgeneratorfunction, function):
            yield f"{what} is a generator function", "Let it return its value; do not yield."
        elif failure := _failure(function):
            yield (
                f"{what} cannot be called: {failure}",
                f"Let it take one argument, the {argument}.",
            )


def _functions(workflow: Workflow) -> Iterator[_Function]:
    yield _Function("its result", workflow.result, OF_RUN)
    if isinstance(workflow.concurrency, Concurrency):
        key = workflow.concurrency.key
        yield _Function("the key of its concurrency", key, "parameters, a dict")
    for step in workflow.steps:
        yield from _functions_of(step)


def _functions_of(step: Step) -> Iterator[_Function]:
    yield _Function(f"inputs of step {step.label!r}", step.inputs, OF_RUN)
    if isinstance(step, Map):
        over = None if isinstance(step.over, Step) else step.over
        yield _Function(f"over of step {step.label!r}", over, OF_RUN, is_list=True)
        yield _Function(f"key of step {step.label!r}", step.key, OF_ITEM)


def _is(kind: Callable[[Any], bool], function: Any) -> bool:
    """Whether the function, or the method with which an object is called, is of this kind."""
    return kind(function) or kind(getattr(type(function), "__call__", None))  # noqa: B004


def _failure(function: Callable[..., Any]) -> str:
    """Why it does not take its one argument; empty if it does, or if that is unknown."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of C code
        return ""
    try:
        signature.bind(None)
    except TypeError as exc:
        return str(exc)
    return ""
