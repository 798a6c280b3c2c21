"""Forms: parameters from form data, and a form for people from a serializer."""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from django.core.files import File
from django.http import HttpRequest, QueryDict
from django.utils.safestring import SafeString
from rest_framework.exceptions import ValidationError
from rest_framework.fields import (
    DictField,
    JSONField,
    ListField,
    MultipleChoiceField,
    empty,
)
from rest_framework.relations import ManyRelatedField
from rest_framework.serializers import BaseSerializer, Serializer
from rest_framework.settings import api_settings
from rest_framework.templatetags.rest_framework import render_form

from children.sanitize import clean_text
from monitor.http.problems import errors_by_field
from parent.definition.params import Several
from parent.definition.size_limits import check_size
from parent.definition.workflow import Workflow
from parent.store.files import is_file_list

__all__ = ["blank_form", "filled_form", "params_of", "posted"]

TEMPLATE_PACK = "monitor/fields"
MANY_FILES = {"base_template": "input.html", "input_type": "file", "multiple": True}
CSRF_FIELD = "csrfmiddlewaretoken"
TICKED = ["false", "true"]
"""What a box of the page's form sends: the value of an unticked one comes first."""
LONGEST_NAME = 1_000
"""Of a field. Of what stands in `rows[9]` DRF makes a number, which Python does of 4,300 digits."""


def params_of(workflow: Workflow, data: object) -> dict[str, Any]:
    """The parameters in a request's data, for `parent.runs.start.start` to validate.

    Args:
        data: what a DRF parser made of the body: a QueryDict of a form, or any JSON.

    Raises:
        ValidationError: it is JSON, but not an object.
    """
    if isinstance(data, QueryDict):
        return _from_form(_serializer(workflow), data)
    if isinstance(data, Mapping):
        return dict(data)
    raise ValidationError(
        {api_settings.NON_FIELD_ERRORS_KEY: ["Send a JSON object with the parameters as fields."]}
    )


def _from_form(serializer: "Serializer[Any]", data: QueryDict) -> dict[str, Any]:
    """Read each field that was sent as DRF reads it from a form.

    A field that was not sent stays out: DRF by itself takes a missing boolean for an unticked
    box, and a client of the API would lose that field's default.
    """
    params: dict[str, Any] = {key: data[key] for key in data if len(key) > LONGEST_NAME}
    if params:
        data = data.copy()
        for key in params:
            del data[key]
    read = set()
    for key in data:
        name = re.split(r"[.\[]", key, maxsplit=1)[0]  # nested fields: `size.width`, `rows[0]`
        if name not in serializer.fields:
            if key != CSRF_FIELD:
                params[key] = data[key]
            continue
        sent = data.getlist(key)
        if len(sent) > 1 and sent != TICKED and not _takes_several(serializer, key):
            params[name] = Several(sent)
        if name not in read:
            read.add(name)
            value = _value_of(serializer.fields[name], name, data)
            if value is not empty:
                params.setdefault(name, value)
    return params


def _value_of(field: Any, name: str, data: QueryDict) -> Any:
    """What the form has for this field; `empty` for nothing."""
    # A file stays one: a field for JSON would read its name.
    is_file = isinstance(data.get(name), File) and not is_file_list(field)
    value = data[name] if is_file else field.get_value(data)
    if isinstance(field, BaseSerializer | DictField) and name in data:
        value = _json(data[name])
    # DRF drops blank fields, but not a blank one for JSON.
    return empty if isinstance(field, JSONField) and value == "" else value


def _takes_several(field: Any, key: str) -> bool:
    """Whether the key's field, maybe a nested one, is a list. DRF takes the last of others."""
    for name in filter(None, re.split(r"[.\[\]]+", key)):
        field = getattr(field, "child", field) if name.isdecimal() else _field_of(field, name)
    return isinstance(field, ListField | MultipleChoiceField | ManyRelatedField)


def _field_of(field: Any, name: str) -> Any:
    return field.fields.get(name) if isinstance(field, Serializer) else None


def _json(text: Any) -> Any:
    """What a nested field's text says; forms of the OpenAPI document write it as JSON."""
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return text


def posted(workflow: Workflow, request: HttpRequest) -> QueryDict:
    """What the page's form sent, files included, as an API client would have sent it."""
    data = request.POST.copy()
    for name, field in _serializer(workflow).fields.items():
        if isinstance(field, ListField) and name in data:
            data.setlist(name, [line for line in str(data[name]).splitlines() if line.strip()])
    data.update(cast(Any, request.FILES))
    return data


def blank_form(workflow: Workflow) -> SafeString:
    """The fields of a workflow's form, as HTML, with the defaults filled in."""
    serializer = _serializer(workflow)
    for field in serializer.fields.values():
        if field.default is not empty and not callable(field.default):
            field.initial = field.default
    return SafeString(render_form(serializer, TEMPLATE_PACK))


def filled_form(
    workflow: Workflow, params: Mapping[str, Any], errors: Mapping[str, Any]
) -> tuple[SafeString, list[str]]:
    """The fields as HTML with what was sent, and `errors` beside them.

    The second part has the sentences that belong beside no field.
    """
    # What is too much to be looked at is too much to be shown again.
    shown = {name: value for name, value in params.items() if not check_size([value])}
    serializer = _serializer(workflow, shown)
    # In the place of its own validation, which does not find all of them, and fails over some.
    vars(serializer).update(_validated_data={}, _errors=_beside(serializer, errors))
    others = [
        text if field in (api_settings.NON_FIELD_ERRORS_KEY, "") else f"{field}: {text}"
        for field, texts in errors_by_field(errors).items()
        for text in texts
        if not _has_place(serializer, field.split("."))
    ]
    return SafeString(render_form(serializer, TEMPLATE_PACK)), others


def _has_place(field: object, path: list[str]) -> bool:
    """Whether the form shows an error of that path beside one of its fields."""
    if not isinstance(field, Serializer):
        return True
    return bool(path) and path[0] in field.fields and _has_place(field.fields[path[0]], path[1:])


def _beside(field: object, errors: Any) -> Any:
    """The errors as the form shows them: of each of its fields, a list of sentences."""
    if isinstance(field, Serializer) and isinstance(errors, Mapping):
        return {name: _beside(field.fields.get(name), told) for name, told in errors.items()}
    whole = api_settings.NON_FIELD_ERRORS_KEY
    return [
        text if path == whole else f"{_entry(field, path)}: {text}"
        for path, texts in errors_by_field(errors).items()
        for text in texts
    ]


def _entry(field: object, path: str) -> str:
    """A place in the field; in a list as people count."""
    if isinstance(field, ListField) and path.isdecimal():
        return f"Entry {int(path) + 1}"
    return clean_text(path)


def _serializer(workflow: Workflow, params: Mapping[str, Any] | None = None) -> "Serializer[Any]":
    kind: Any = workflow.params or Serializer
    serializer: Serializer[Any] = kind() if params is None else kind(data=params)
    for field in getattr(serializer, "fields", {}).values():
        if is_file_list(field):
            field.style = MANY_FILES | field.style
    return serializer
