"""A workflow's HTML form: its fields, and the data that it sends."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, cast

from django.http import HttpRequest, QueryDict
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from rest_framework import ISO_8601
from rest_framework.exceptions import ValidationError
from rest_framework.fields import (
    BooleanField,
    DateField,
    DateTimeField,
    DecimalField,
    DictField,
    FloatField,
    HiddenField,
    IntegerField,
    JSONField,
    ListField,
    empty,
)
from rest_framework.serializers import ListSerializer, Serializer
from rest_framework.settings import api_settings
from rest_framework.templatetags.rest_framework import render_form

from children.sanitize import clean_text, storable
from monitor.api.form_data import is_structured
from monitor.http.problems import NO_FIELD, errors_by_field
from parent.definition.parameters.secrets import has_secrets
from parent.definition.parameters.size_limits import size_problem
from parent.store.files import is_file_list, takes_files

__all__ = ["FormError", "LeftOut", "blank_form", "filled_form", "form_like", "posted"]

TEMPLATE_PACK = "monitor/fields"
IN_UTC = {"in_utc": True}
"""Of a time that the page's script shows in the reader's time zone."""
SENT_BY_SCRIPT = "+00:00"
JSON_TEXT = {"base_template": "json.html"}
LONGEST_EXAMPLE = 200  # characters
MANY_FILES = {"base_template": "input.html", "input_type": "file", "multiple": True}


class TakesParams(Protocol):
    """A workflow, or anything else with a serializer class that a form can be made of."""

    @property
    def params(self) -> Any: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class FormError:
    """A sentence that says what is wrong, with the name and the label of the form's field.

    Both are empty if the form has no such field.
    """

    text: str
    field: str = ""
    label: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A parameter of an earlier run that is not filled in again.

    `field` is the name of the form's field; empty if the form has none.
    """

    label: str
    why: str
    field: str = ""


def posted(workflow: TakesParams, request: HttpRequest) -> QueryDict:
    """The data of the page's form, with files, in the shape that an API client sends."""
    data = request.POST.copy()
    for name, field in _serializer(workflow).fields.items():
        if isinstance(field, ListField) and not is_structured(field) and name in data:
            data.setlist(name, [line for line in str(data[name]).splitlines() if line.strip()])
    data.update(cast(Any, request.FILES))
    return data


def blank_form(workflow: TakesParams) -> SafeString:
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
    workflow: TakesParams, params: Mapping[str, Any], errors: Mapping[str, Any]
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
    # JSON in a field may stand for letters that no page can have.
    return SafeString(storable(render_form(serializer, TEMPLATE_PACK))), found_errors


def form_like(workflow: TakesParams, params: Mapping[str, Any]) -> tuple[SafeString, list[LeftOut]]:
    """The fields as HTML, filled with the stored parameters of a run; and what was left out.

    Files and secrets are left out, and what a person could not enter in the form as it is.
    """
    serializer = _serializer(workflow)
    left_out = list(_fill(serializer, params))
    return SafeString(render_form(serializer, TEMPLATE_PACK)), left_out


def _fill(serializer: Any, params: Mapping[str, Any], prefix: str = "") -> Iterator[LeftOut]:
    fields = {name: each for name, each in serializer.fields.items() if not each.read_only}
    for name, field in fields.items():
        value = _stored(params, field.source)
        if isinstance(field, HiddenField):
            continue
        if _is_fieldset(field):
            yield from _fill(field, value if isinstance(value, Mapping) else {}, f"{prefix}{name}.")
            continue
        why = "" if value in (None, "", [], {}) else _obstacle(field, value)
        if why:
            yield LeftOut(label=str(field.label), why=why, field=prefix + name)
        _set_initial(field, None if why else value)
    known = {field.source.split(".")[0] for field in fields.values()}
    for name in sorted(params.keys() - known):
        yield LeftOut(
            label=prefix + clean_text(name), why=gettext("the workflow no longer takes it")
        )


def _stored(params: Any, source: str) -> Any:
    """The value that a field of this source had; None without one."""
    for name in source.split("."):
        params = params.get(name) if isinstance(params, Mapping) else None
    return params


def _obstacle(field: Any, value: Any) -> str:
    """Why the form cannot be filled with this value; empty if it can."""
    if takes_files(field):
        return gettext("choose the file again")
    if has_secrets(field):
        return gettext("a secret: enter it again")
    if size_problem([value]):
        return gettext("it is too large for a form")
    if not _can_be_entered(field, value):
        return gettext("it cannot be entered in this form")
    return ""


def _can_be_entered(field: Any, value: Any) -> bool:
    """Whether the form would send this value as it is."""
    if isinstance(field, DateTimeField):
        moment = _moment(value)
        # The browser's field has milliseconds.
        return moment is not None and moment.microsecond % 1_000 == 0
    if is_structured(field) or isinstance(field, JSONField):
        return True
    if isinstance(field, ListField):  # one entry a line
        return isinstance(value, list) and all(map(_is_line, value))
    many_lines = field.style.get("base_template") == "textarea.html"
    return many_lines or not isinstance(value, str) or value.splitlines() == [value]


def _is_line(value: Any) -> bool:
    """Whether a textarea could have this entry in a line of its own."""
    text = str(value)
    return value is not None and bool(text.strip()) and text.splitlines() == [text]


def _set_initial(field: Any, value: Any) -> None:
    """Let the form show this value, which was stored as JSON; None leaves the field blank."""
    if value is None:
        value = [] if isinstance(field, ListField | ListSerializer) else type(field).initial
    elif is_structured(field):
        field.style = field.style | _as_text(value)
    elif isinstance(field, DateTimeField) and (moment := _moment(value)):
        # The renderer reads it in the format in which the field writes it.
        written_as = getattr(field, "format", api_settings.DATETIME_FORMAT)
        value = moment.isoformat() if written_as == ISO_8601 else moment
        if written_as not in (None, ISO_8601):
            value = moment.strftime(written_as)
        field.style = field.style | IN_UTC
    field.get_initial = lambda: value


def _moment(value: Any) -> datetime | None:
    """The time that a stored value says, in UTC; None if it says none."""
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _without_secrets(workflow: TakesParams, name: str, value: Any) -> Any:
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
    while _is_fieldset(field) and rest and rest[0] in field.fields:
        names.append(rest[0])
        field = field.fields[rest.pop(0)]
    if _is_fieldset(field):  # the form has no place for it
        whole = path in (NO_FIELD, "")
        return FormError(text=text if whole else f"{path}: {text}")
    entry = f"{_entry(field, '.'.join(rest))}: " if rest else ""
    return FormError(field=".".join(names), label=str(field.label), text=entry + text)


def _is_fieldset(field: Any) -> bool:
    """Whether the form shows the fields inside this one, as it does those of the whole."""
    return isinstance(field, Serializer) and (field.parent is None or not is_structured(field))


def _beside(field: Any, errors: Any) -> Any:
    """The errors as the form shows them: a list of sentences for each field."""
    if _is_fieldset(field) and isinstance(errors, Mapping):
        return {name: _beside(field.fields.get(name), details) for name, details in errors.items()}
    return [
        text if path == NO_FIELD else f"{_entry(field, path)}: {text}"
        for path, texts in errors_by_field(errors).items()
        for text in texts
    ]


def _entry(field: object, path: str) -> str:
    """A place in the field; the entries of a list count from 1."""
    if isinstance(field, ListField) and path.isdecimal():
        return gettext("Entry {number}").format(number=int(path) + 1)
    return clean_text(path)


def _serializer(
    workflow: TakesParams, params: Mapping[str, Any] | None = None
) -> "Serializer[Any]":
    kind: Any = workflow.params or Serializer
    serializer: Serializer[Any] = kind() if params is None else kind(data=params)
    _mark_times(serializer, params)
    for name, field in getattr(serializer, "fields", {}).items():
        if is_file_list(field):
            field.style = MANY_FILES | field.style
        elif is_structured(field) or isinstance(field, JSONField):
            field.style = JSON_TEXT | {"example": _example_text(field)} | field.style
            value = None if params is None else params.get(name)
            if type(value) is dict:  # DRF would make texts of the values inside
                field.style = field.style | _as_text(value)
    return serializer


def _mark_times(serializer: Any, params: Any) -> None:
    """Mark the times that the page's script has sent, in UTC."""
    for name, field in getattr(serializer, "fields", {}).items():
        value = params.get(name) if isinstance(params, Mapping) else None
        if isinstance(field, Serializer):
            _mark_times(field, value)
        elif isinstance(field, DateTimeField) and str(value).endswith(SENT_BY_SCRIPT):
            field.style = field.style | IN_UTC


def _as_text(value: Any) -> dict[str, str]:
    """The style of a field that shows this value as JSON."""
    return {"text": json.dumps(value, indent=2, ensure_ascii=False)}


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
