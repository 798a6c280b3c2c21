"""Reads a workflow's parameters from the data of a request."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.files import File
from django.http import QueryDict
from rest_framework.exceptions import ValidationError
from rest_framework.fields import (
    DictField,
    JSONField,
    ListField,
    MultipleChoiceField,
    empty,
)
from rest_framework.relations import ManyRelatedField
from rest_framework.serializers import BaseSerializer, ListSerializer, Serializer
from rest_framework.settings import api_settings

from parent.definition.parameters.json_text import RepeatedKey, read_json
from parent.definition.parameters.params import Unusable
from parent.definition.workflow import Workflow
from parent.store.files import is_file_list

__all__ = ["is_structured", "params_of", "values_by"]

CSRF_FIELD = "csrfmiddlewaretoken"
TICKED = ["false", "true"]
"""What a ticked checkbox of the page's form sends: first the value of the unticked one."""
TWICE = "Send it once, not several times."
LONGEST_NAME = 1_000
"""Characters of a field's name. DRF reads the index in `rows[9]` as an int, and Python refuses
to read one of more than 4,300 digits."""


def params_of(workflow: Workflow, data: object) -> dict[str, Any]:
    """The parameters in a request's data, for `parent.runs.start.start` to validate.

    Args:
        data: what a DRF parser made of the body: a QueryDict of a form, or any JSON.

    Raises:
        ValidationError: it is JSON, but not an object.
    """
    return values_by(workflow.params, data)


def values_by(kind: Any, data: object) -> dict[str, Any]:
    """The values in a request's data for this serializer class, as `params_of` reads them.

    Args:
        kind: None takes no values.
    """
    if isinstance(data, QueryDict):
        return _from_form((kind or Serializer)(), data)
    if isinstance(data, Mapping):
        return dict(data)
    raise ValidationError(
        {api_settings.NON_FIELD_ERRORS_KEY: ["Send a JSON object with the parameters as fields."]}
    )


def _from_form(serializer: "Serializer[Any]", data: QueryDict) -> dict[str, Any]:
    """Read each field that was sent as DRF reads it from a form.

    A field that was not sent is left out. DRF would take a missing boolean as an unticked
    checkbox, and an API client would lose that field's default.
    """
    params: dict[str, Any] = {key: data[key] for key in data if len(key) > LONGEST_NAME}
    if params:
        data = data.copy()
        for key in params:
            del data[key]
    read = set()
    for key in data:
        name = re.split(r"[.\[]", key, maxsplit=1)[0]  # nested fields: `size.width`, `rows[0]`
        part = key.removeprefix(name)
        if name not in serializer.fields or not _is_read(serializer.fields[name], part):
            if key != CSRF_FIELD:
                params[key] = data[key]
            continue
        if part and name in data:
            params[name] = Unusable(TWICE)
        elif why := _why_unusable(_field_at(serializer, key), data.getlist(key)):
            params[name] = Unusable(why)
        elif name not in read:
            read.add(name)
            value = _value_of(serializer.fields[name], name, data)
            if value is not empty:
                params.setdefault(name, value)
    return params


def _is_read(field: Any, part: str) -> bool:
    """Whether DRF reads this part of the field from a form. It would drop any other."""
    if isinstance(field, ListField | ListSerializer):
        return not part or re.match(r"\[[0-9]+\]", part) is not None
    if isinstance(field, DictField | Serializer):
        return not part or (part[0] == "." and len(part) > 1)
    return not part


def _value_of(field: Any, name: str, data: QueryDict) -> Any:
    """The form's value for this field; `empty` if it has none."""
    # Keep a file: a JSON field would read its name instead.
    is_file = isinstance(data.get(name), File) and not is_file_list(field)
    value = data[name] if is_file else field.get_value(data)
    if name in data and (is_structured(field) or isinstance(field, BaseSerializer)):
        if is_structured(field) and not data[name]:
            return empty
        # The client has sent a list in parts, or all of it as JSON.
        value = (
            value if isinstance(field, ListField) and _in_parts(data, name) else _json(data[name])
        )
    # DRF drops blank fields, except for a blank JSON field.
    return empty if isinstance(field, JSONField) and value == "" else value


def is_structured(field: Any) -> bool:
    """Whether a form shows this field as JSON: values inside values, more than a list of texts."""
    if isinstance(field, DictField | ListSerializer):
        return True
    if isinstance(field, ListField):
        return _is_nested(field.child)
    return isinstance(field, Serializer) and any(map(_is_inside, field.fields.values()))


def _is_nested(field: Any) -> bool:
    return isinstance(field, ListField | DictField | BaseSerializer | JSONField)


def _is_inside(field: Any) -> bool:
    return isinstance(field, ListField) or is_structured(field)


def _in_parts(data: QueryDict, name: str) -> bool:
    return len(data.getlist(name)) > 1


def _field_at(serializer: "Serializer[Any]", key: str) -> Any:
    """The field of a form's key, which may be inside others."""
    field: Any = serializer
    for name in filter(None, re.split(r"[.\[\]]+", key)):
        field = getattr(field, "child", field) if name.isdecimal() else _field_of(field, name)
    return field


def _why_unusable(field: Any, sent: Sequence[Any]) -> str:
    """Why DRF would drop a part of this; empty if it would not."""
    # DRF takes the last value of others.
    takes_several = isinstance(field, ListField | MultipleChoiceField | ManyRelatedField)
    if len(sent) > 1 and sent != TICKED and not takes_several:
        return TWICE
    if isinstance(field, JSONField | BaseSerializer) or is_structured(field):
        for text in sent:
            try:
                read_json(text)
            except RepeatedKey as exc:
                return f"{exc}."
            except RecursionError:
                return "It is nested too deep."
            except (TypeError, ValueError):
                continue  # the field itself reports that
    return ""


def _field_of(field: Any, name: str) -> Any:
    return field.fields.get(name) if isinstance(field, Serializer) else None


def _json(text: Any) -> Any:
    """The value of a nested field's text: forms of the OpenAPI page send it as JSON."""
    try:
        return read_json(text)
    except RepeatedKey:
        raise
    except (TypeError, ValueError, RecursionError):
        return text
