"""What can be known of the inputs of a step before a run: whether they fit, and what they read."""

import dis
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import Any

from celery import current_app
from rest_framework.fields import FileField, empty
from rest_framework.serializers import Serializer

from parent.definition.name_lists import join_names
from parent.definition.workflow import Step, Workflow, registry
from parent.store.files import is_file_list

__all__ = ["fit_problems", "read_problems"]

OVERRIDES = ("validate", "to_internal_value", "run_validation", "validated_data")
"""A serializer with one of these of its own may have other values than its fields."""
BRANCHES = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
SUBSCRIPTS = {("BINARY_SUBSCR", ""), ("BINARY_OP", "[]")}
"""The instruction of `a[b]`, up to Python 3.13 and from 3.14 on."""

Problem = tuple[str, str]


def fit_problems(workflow: Workflow, step: Step) -> Iterator[Problem]:
    """Why the parameters of a run cannot be the arguments of the step's task, which gets them."""
    if step.nested:
        yield from _nested_fit_problems(workflow, step)
        return
    task = current_app.tasks.get(step.task_name)
    # The function with which Celery checks a call; for a child it has the inputs only.
    header = getattr(task, "__header__", None)
    over = getattr(step, "over", None) if step.fed_by else None
    given = _given(workflow if over is None else over)
    what = "parameter of the workflow" if over is None else f"value of the signal {step.fed_by}"
    if not (step.gets_params or over) or header is None or given is None:
        return
    try:
        taken = inspect.signature(header).parameters.values()
    except ValueError:
        return  # it does not even take a progress, which a check of children reports
    named = {p.name: p for p in taken if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    # A check of its own reports the parameters that have the name of the child's progress.
    reserved: frozenset[str] = getattr(task, "reserved", frozenset())
    if not any(p.kind is p.VAR_KEYWORD for p in taken):
        for name in sorted(given.keys() - named.keys() - reserved):
            yield (
                f"step {step.label!r} would get the parameter {name!r}, which its task does not "
                "take",
                "Take it in the function, or choose its arguments: Step(..., inputs=...).",
            )
    for name, parameter in named.items():
        if parameter.default is not parameter.empty or given.get(name):
            continue
        if name in given:
            yield (
                f"step {step.label!r} needs {name!r}, a parameter that may be left out",
                "Give it a default, in the serializer or in the function.",
            )
        else:
            yield (
                f"step {step.label!r} needs {name!r}, which is not a {what}",
                "Add it to the params, or choose the step's arguments: Step(..., inputs=...).",
            )


def _nested_fit_problems(workflow: Workflow, step: Step) -> Iterator[Problem]:
    """Why a run of the nested workflow would not take what the step gives it."""
    inner = registry.get(step.nested)
    fields: Mapping[str, Any] = getattr(inner.params and inner.params(), "fields", {})
    for name, field in fields.items():
        if field.required and (isinstance(field, FileField) or is_file_list(field)):
            yield (
                f"step {step.label!r} runs the workflow {inner.name!r}, whose parameter {name!r} "
                "is a file, and files are not passed on",
                "Let it take the file's storage name, as text.",
            )
    over = getattr(step, "over", None) if step.fed_by else None
    given = _given(workflow if over is None else over)
    if not (step.gets_params or over) or given is None:
        return
    what = "parameter here" if over is None else f"value of the signal {step.fed_by}"
    for name in sorted(given.keys() - fields.keys()):
        yield (
            f"step {step.label!r} would get the parameter {name!r}, which the workflow "
            f"{inner.name!r} does not have",
            "Add it there, or choose its parameters: Step(..., inputs=...).",
        )
    for name, field in fields.items():
        if field.required and not field.read_only and not given.get(name):
            yield (
                f"step {step.label!r} runs the workflow {inner.name!r}, which needs {name!r}, and "
                "that is "
                + ("a parameter that may be left out" if name in given else f"not a {what}"),
                "Give it by Step(..., inputs=...), or give it a default there.",
            )


def _given(taker: Any) -> Mapping[str, bool] | None:
    """The names of the parameters of a workflow, or of the values of a signal, and whether each is
    always there; None if unknown.
    """
    if taker.params is None:
        return {}
    serializer: Any = taker.params()
    if not isinstance(serializer, Serializer):
        return None
    if any(getattr(type(serializer), name) is not getattr(Serializer, name) for name in OVERRIDES):
        return None
    given: dict[str, bool] = {}
    for field in serializer.fields.values():
        if field.source == "*":
            return None
        has_default = field.default is not empty
        if has_default or not field.read_only:
            name = str(field.source).partition(".")[0]
            given[name] = given.get(name, False) or has_default or field.required
    return given


def read_problems(workflow: Workflow) -> Iterator[Problem]:
    """The steps that an `inputs` function reads although they do not come before it.

    And those that no step is, in the workflow's `result` too.
    """
    no_step = f"Its steps are: {join_names([step.label for step in workflow.all_steps])}."
    for step in workflow.steps:
        before = _before(workflow, step)
        what, function = step.reader
        for read, name in _reads(function).items():
            if name not in workflow.by_label:
                yield f"the {what} of step {step.label!r} read {read}, which is not a step", no_step
            elif name not in before:
                yield (
                    f"the {what} of step {step.label!r} read {read}, which does not come before it",
                    f"Let it come after that step too: Step(..., after=[{name!r}, ...]).",
                )
    for read, name in _reads(workflow.result).items():
        if name not in workflow.by_label:
            yield f"its result reads {read}, which is not a step", no_step


def _before(workflow: Workflow, step: Step) -> set[str]:
    """The names of all steps that have ended when this one begins."""
    found: set[str] = set()
    unread = list(workflow.after(step))
    while unread:
        name = unread.pop()
        if name not in found:
            found.add(name)
            known = workflow.by_label.get(name)
            unread += workflow.after(known) if known is not None else ()
    return found


def _reads(function: Callable[..., Any] | None) -> dict[str, str]:
    """The names of steps in `run.results["name"]` and `run.errors["name"]`, by that text.

    Only those that every call reads: before the first branch, and not in a `try` or a `with`.
    """
    code, place = _code_of(function)
    found: dict[str, str] = {}
    if code is None or code.co_exceptiontable or code.co_argcount <= place:
        return found
    run = code.co_varnames[place]
    last: list[Any] = [None, None, None]
    for each in dis.get_instructions(code):
        if each.opcode in BRANCHES or (each.opname.startswith("STORE_") and run in _names(each)):
            break
        owner, attribute, name = last
        if (each.opname, each.argrepr) in SUBSCRIPTS and (
            _loads(owner, "LOAD_FAST", "LOAD_DEREF", of=(run,))
            and _loads(attribute, "LOAD_ATTR", of=("results", "errors"))
            and _loads(name, "LOAD_CONST")
            and isinstance(name.argval, str)
        ):
            found[f"run.{attribute.argval}[{name.argval!r}]"] = name.argval
        last = [attribute, name, each]
    return found


def _names(instruction: dis.Instruction) -> tuple[Any, ...]:
    """The names in an instruction. Python 3.13 has some with two."""
    value = instruction.argval
    return value if isinstance(value, tuple) else (value,)


def _loads(instruction: Any, *kinds: str, of: tuple[str, ...] = ()) -> bool:
    return (
        instruction is not None
        and instruction.opname.startswith(kinds)
        and (not of or instruction.argval in of)
    )


def _code_of(function: Any) -> tuple[CodeType | None, int]:
    """The code of a Python function, and the place of its first parameter that a caller gives."""
    bound = inspect.ismethod(function)
    function = function.__func__ if bound else function
    return (function.__code__ if inspect.isfunction(function) else None), int(bound)
