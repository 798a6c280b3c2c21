"""A workflow's HTML form: its fields, and the data that it sends."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from django.http import HttpRequest, QueryDict
from django.utils.safestring import SafeString
from rest_framework.exceptions import ValidationError
from rest_framework.fields import (
    BooleanField,
    DateField,
    DateTimeField,
    DecimalField,
    DictField,
    FloatField,
    IntegerField,
    JSONField,
    ListField,
    empty,
)
from rest_framework.serializers import Serializer
from rest_framework.templatetags.rest_framework import render_form

from children.sanitize import clean_text
from monitor.api.form_data import is_structured
from monitor.http.problems import NO_FIELD, errors_by_field
from parent.definition.secrets import has_secrets
from parent.definition.size_limits import size_problem
from parent.definition.workflow import Workflow
from parent.store.files import is_file_list

__all__ = ["FormError", "blank_form", "filled_form", "posted"]

TEMPLATE_PACK = "monitor/fields"
IN_UTC = {"in_utc": True}
"""Of a time that the page's script shows in the reader's time zone."""
SENT_BY_SCRIPT = "+00:00"
JSON_TEXT = {"base_template": "json.html"}
LONGEST_EXAMPLE = 200  # characters
MANY_FILES = {"base_template": "input.html", "input_type": "file", "multiple": True}


@dataclass(frozen=True, kw_only=True, slots=True)
class FormError:
    """A sentence that says what is wrong, with the name and the label of the form's field.

    Both are empty if the form has no such field.
    """

    text: str
    field: str = ""
    label: str = ""


def posted(workflow: Workflow, request: HttpRequest) -> QueryDict:
    """The data of the page's form, with files, in the shape that an API client sends."""
    data = request.POST.copy()
    for name, field in _serializer(workflow).fields.items():
        if isinstance(field, ListField) and not is_structured(field) and name in data:
            data.setlist(name, [line for line in str(data[name]).splitlines() if line.strip()])
    data.update(cast(Any, request.FILES))
    return data


def blank_form(workflow: Workflow) -> SafeString:
    """The fields of a workflow's form as HTML, filled with the defaults."""
    serializer = _serializer(workflow)
    for field in serializer.fields.values():
        if field.default is not empty and not callable(field.default):
            field.initial = field.default
        if isinstance(field.initial, datetime):
            field.initial = field.initial.astimezone(UTC).isoformat()
            field.style = field.style | IN_UTC
    return SafeString(render_form(serializer, TEMPLATE_PACK))


def filled_form(
    workflow: Workflow, params: Mapping[str, Any], errors: Mapping[str, Any]
) -> tuple[SafeString, list[FormError]]:
    """The fields as HTML, filled with `params`, with `errors` beside them; and the errors."""
    # A value that is too large to be validated is not shown again.
    shown = {name: value for name, value in params.items() if not size_problem([value])}
    shown = {name: _without_secrets(workflow, name, value) for name, value in shown.items()}
    serializer = _serializer(workflow, shown)

    def found(_data: Any) -> None:
        raise ValidationError(_beside(serializer, errors))

    # In place of its own validation, which does not find all errors, and fails on some values.
    serializer.run_validation = found  # type: ignore[method-assign, assignment]
    serializer.is_valid()
    found_errors = [
        _form_error(serializer, path, text)
        for path, texts in errors_by_field(errors).items()
        for text in texts
    ]
    return SafeString(render_form(serializer, TEMPLATE_PACK)), found_errors


def _without_secrets(workflow: Workflow, name: str, value: Any) -> Any:
    """A value to show again. One with a secret in it has to be entered again."""
    field = getattr(_serializer(workflow), "fields", {}).get(name)
    if field is None or not has_secrets(field):
        return value
    if isinstance(field, Serializer) and isinstance(value, Mapping):
        # The form shows its fields one by one.
        return {
            key: part
            for key, part in value.items()
            if key not in field.fields or not has_secrets(field.fields[key])
        }
    return ""


def _form_error(serializer: "Serializer[Any]", path: str, text: str) -> FormError:
    field: Any = serializer
    names: list[str] = []
    rest = path.split(".")
    while isinstance(field, Serializer) and rest and rest[0] in field.fields:
        names.append(rest[0])
        field = field.fields[rest.pop(0)]
    if isinstance(field, Serializer):  # the form has no place for it
        whole = path in (NO_FIELD, "")
        return FormError(text=text if whole else f"{path}: {text}")
    entry = f"{_entry(field, '.'.join(rest))}: " if rest else ""
    return FormError(field=".".join(names), label=str(field.label), text=entry + text)


def _beside(field: object, errors: Any) -> Any:
    """The errors as the form shows them: a list of sentences for each field."""
    if isinstance(field, Serializer) and isinstance(errors, Mapping):
        return {name: _beside(field.fields.get(name), details) for name, details in errors.items()}
    return [
        text if path == NO_FIELD else f"{_entry(field, path)}: {text}"
        for path, texts in errors_by_field(errors).items()
        for text in texts
    ]


def _entry(field: object, path: str) -> str:
    """A place in the field; the entries of a list count from 1."""
    if isinstance(field, ListField) and path.isdecimal():
        return f"Entry {int(path) + 1}"
    return clean_text(path)


def _serializer(workflow: Workflow, params: Mapping[str, Any] | None = None) -> "Serializer[Any]":
    kind: Any = workflow.params or Serializer
    serializer: Serializer[Any] = kind() if params is None else kind(data=params)
    _mark_times(serializer, params)
    for field in getattr(serializer, "fields", {}).values():
        if is_file_list(field):
            field.style = MANY_FILES | field.style
        elif is_structured(field):
            field.style = JSON_TEXT | {"example": _example_text(field)} | field.style
    return serializer


def _mark_times(serializer: Any, params: Any) -> None:
    """Mark the times that the page's script has sent, in UTC."""
    for name, field in getattr(serializer, "fields", {}).items():
        value = params.get(name) if isinstance(params, Mapping) else None
        if isinstance(field, Serializer):
            _mark_times(field, value)
        elif isinstance(field, DateTimeField) and str(value).endswith(SENT_BY_SCRIPT):
            field.style = field.style | IN_UTC


def _example_text(field: Any) -> str:
    text = json.dumps(_example(field), ensure_ascii=False)
    return text if len(text) <= LONGEST_EXAMPLE else f"{text[:LONGEST_EXAMPLE]}…"


def _example(field: Any) -> Any:
    """A value of the shape that the field takes."""
    if isinstance(field, DictField):
        return {"name": _example(field.child)}
    if (child := getattr(field, "child", None)) is not None:
        return [_example(child)]
    if isinstance(field, Serializer):
        return {name: _example(part) for name, part in field.fields.items() if not part.read_only}
    kinds: list[tuple[Any, Any]] = [
        (BooleanField, True),
        (IntegerField, 1),
        ((FloatField, DecimalField), 0.5),
        (JSONField, {}),
        (DateTimeField, "2025-03-01T12:00:00Z"),
        (DateField, "2025-03-01"),
    ]
    return next((value for kind, value in kinds if isinstance(field, kind)), "text")
