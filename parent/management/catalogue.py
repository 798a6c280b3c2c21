"""Workflows as text: description, parameters and steps."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from rest_framework.fields import ChoiceField, Field, FileField, HiddenField, empty
from rest_framework.metadata import SimpleMetadata

from parent.definition.mapping import Map
from parent.definition.workflow import Workflow
from parent.store.files import is_file_list

__all__ = ["describe", "describe_params"]

KINDS = SimpleMetadata.label_lookup


def describe(workflow: Workflow) -> str:
    """Describe the workflow in a paragraph."""
    return "\n".join(
        [
            workflow.name,
            *([f"  {workflow.description}"] if workflow.description else []),
            "  parameters:",
            *(f"    {line}" for line in describe_params(workflow)),
            f"  steps: {', '.join(_steps(workflow))}",
            *(
                [f"  signals: {', '.join(each.label for each in workflow.all_signals)}"]
                if workflow.all_signals
                else []
            ),
        ]
    )


def describe_params(workflow: Workflow) -> list[str]:
    """A line for each parameter: name, type, default, and what it is for."""
    fields: dict[str, Field[Any, Any, Any, Any]] = {}
    if workflow.params is not None:
        fields = getattr(workflow.params(), "fields", {})
    lines = [
        (f"{name}: {_kind(field)}, {_default(field)}", str(field.help_text or ""))
        for name, field in fields.items()
        if not (field.read_only or isinstance(field, HiddenField))
    ]
    return [f"{line}. {purpose}" if purpose else line for line, purpose in lines] or ["none"]


def _kind(field: "Field[Any, Any, Any, Any]") -> str:
    if isinstance(field, FileField):
        return "file (write @path)"
    if is_file_list(field):
        return "files (write @path for each)"
    kind = str(KINDS[field])  # type: ignore[index] # its stub takes only classes
    if isinstance(field, ChoiceField):
        return f"{kind} of {' | '.join(_texts(field.choices))}"
    return kind


def _default(field: "Field[Any, Any, Any, Any]") -> str:
    if field.default is empty:
        return "required" if field.required else "optional"
    if callable(field.default):
        return "with a default"
    return "default " + next(_texts([field.default]))


def _texts(values: Iterable[object]) -> Iterator[str]:
    """Each value as it is written on the command line."""
    for value in values:
        yield value if isinstance(value, str) and value else json.dumps(value, default=str)


def _steps(workflow: Workflow) -> Iterator[str]:
    for step in workflow.steps:
        notes = []
        if step.after is not None:
            notes.append(f"after {', '.join(step.after) or 'nothing'}")
        if step.when != "ok":
            notes.append("always" if step.when == "always" else "only after a failure")
        if step.optional:
            notes.append("optional")
        if step.awaits:
            notes.append(f"waits for an {step.awaits}")
        if step.unless:
            notes.append(f"unless {', '.join(step.unless)}")
        if isinstance(step, Map):
            notes.append(f"for each {step.fed_by}" if step.fed_by else "for each of many items")
        if step.nested:
            deep = (
                "" if step.max_depth is None else f", at most {step.max_depth} inside of each other"
            )
            notes.append(f"a run of {step.nested}{deep}")
        yield f"{step.label} ({'; '.join(notes)})" if notes else step.label
