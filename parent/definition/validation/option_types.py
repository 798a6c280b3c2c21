"""Options of a workflow or a step that are not of the type that they are declared with.

All other checks count, compare and show what they are given, so this one comes first.
"""

from collections.abc import Callable, Iterator
from typing import Any

from django.utils.functional import Promise
from rest_framework.serializers import BaseSerializer, ListSerializer

from children.meta import error_text
from children.sanitize import clean_text, one_line
from parent.definition.validation.steps import TIMES
from parent.definition.workflow import Step, Workflow

__all__ = ["option_problems"]


def option_problems(workflow: Workflow) -> Iterator[tuple[str, str]]:
    """Options of another type than the one they are declared with, each with a hint."""
    for option in ("steps", "signals"):
        given = getattr(workflow, option)
        if not isinstance(given, list | tuple) or not all(isinstance(s, Step) for s in given):
            hint = f"Write {option}=[...] with what Step(...) and the like return."
            yield f"its {option} are not a list of steps", hint
            return
    yield from _wrong_options(workflow, "it has")
    for step in workflow.all_steps:
        if not _is_text(step.name):
            hint = 'Give it one of 1 to 100 characters: Step(..., name="...").'
            yield "a step has a name that is not text", hint
        else:
            yield from _wrong_options(step, f"step {_label(step)!r} has")


def _label(step: Step) -> str:
    try:
        return step.name or str(getattr(step.task, "name", step.task))
    except Exception:  # from the author's object; `_wrong_options` says so
        return "?"


def _wrong_options(of: Any, who: str) -> Iterator[tuple[str, str]]:
    for option, given in vars(of).items():
        if option in ("steps", "signals"):
            continue  # each of them is looked at by itself
        if failure := _failure_of(given):
            problem = f"{who} {option} that cannot be shown or compared ({failure})"
            yield problem, "Give a plain value, as the docs show it."
            return
    for options, fits, hint in OPTIONS:
        for option in options:
            given = vars(of).get(option)  # `Workflow.after` is a method
            if given is not None and not fits(given):
                kind = type(given).__name__
                problem = f"{who} {option} of the wrong type or value ({kind})"
                yield problem, hint


def _failure_of(value: Any) -> str:
    """The error with which a value is shown, compared or asked for its truth, if one comes."""
    try:
        _ = repr(value), value == value, bool(value)  # noqa: PLR0124 - what `==` raises is asked
    except Exception as exc:
        return one_line(error_text(exc))
    return ""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and clean_text(value) == value


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and float(value) is not None
    except OverflowError:
        return False


def _are_texts(value: Any) -> bool:
    # A text alone has a message of its own.
    return isinstance(value, str) or (
        isinstance(value, list | tuple | set | frozenset) and all(map(_is_text, value))
    )


def _are_exceptions(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(each, type) and issubclass(each, Exception) for each in value
    )


def _is_serializer(value: Any) -> bool:
    # What a list's serializer takes has no names.
    return (
        isinstance(value, type)
        and issubclass(value, BaseSerializer)
        and not issubclass(value, ListSerializer)
    )


OPTIONS: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (("after", "unless"), _are_texts, "Give a list of the names of steps."),
    (("inputs", "result"), callable, "Give a function of the run, not what it returns."),
    (("queue",), _is_text, "Give the name of a queue."),
    (("retry_on",), _are_exceptions, "Give classes of exceptions: retry_on=(OSError,)."),
    (
        ("params", "form"),
        _is_serializer,
        "Give a class that derives from DRF's Serializer; a list is a field of it.",
    ),
    (
        ("description",),
        lambda value: isinstance(value, str | Promise) and clean_text(str(value)) == str(value),
        "Write one line of text.",
    ),
    (
        ("key",),
        lambda value: not isinstance(value, str) or clean_text(value) == value,
        "Give the name of an input, or a function of an item.",
    ),
    ((*TIMES, "timeout", "weight", "backoff", "retries"), _is_number, "Give a number."),
)
