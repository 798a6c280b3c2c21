"""A run's parameters: what its serializer takes, and every database too."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, time
from types import NoneType
from typing import Any

from django.core.files import File
from django.core.serializers.json import DjangoJSONEncoder
from rest_framework.fields import FileField, JSONField
from rest_framework.serializers import ListSerializer, Serializer
from rest_framework.settings import api_settings

from children.errors import ResultNotJSON
from children.sanitize import GIVEN_DEPTH, check_json, check_keys, clean_text
from parent.definition.size_limits import check_size, first_few
from parent.definition.workflow import Workflow
from parent.errors import InvalidParams
from parent.store.files import is_file_list

__all__ = ["IGNORED", "Several", "as_json", "validate"]

IGNORED = frozenset({"csrfmiddlewaretoken"})
UNKNOWN = "This workflow has no such parameter."


class Several(list[Any]):
    """What a form has sent for a field that takes one value."""


class Encoder(DjangoJSONEncoder):
    """Django's, which cuts the microseconds off, with them."""

    def default(self, o: Any) -> Any:
        if isinstance(o, datetime):
            text = o.isoformat()
            return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
        if isinstance(o, time) and o.tzinfo is None:
            return o.isoformat()
        return super().default(o)


def validate(workflow: Workflow, params: Mapping[str, Any]) -> dict[str, Any]:
    """The validated values of `params`.

    Raises:
        InvalidParams: with an error per field, unknown fields included, nested ones as well.
    """
    serializer = workflow.params() if workflow.params else Serializer()
    fields: Mapping[str, Any] = getattr(serializer, "fields", {})
    if too_much := check_size(params, serializer):
        unknown = {name: [UNKNOWN] for name in params if name not in fields}
        told = {api_settings.NON_FIELD_ERRORS_KEY: [too_much]} | unknown
        raise InvalidParams(first_few(told, serializer))
    params = {
        name: [value] if isinstance(value, File) and is_file_list(fields.get(name)) else value
        for name, value in params.items()
    }
    refused = dict(_refused(fields, params))
    fitting = {name: value for name, value in params.items() if name not in refused}
    serializer = type(serializer)(data=fitting)
    errors = {} if serializer.is_valid() else dict(serializer.errors)
    errors |= dict(_unknown(serializer, fitting)) | refused
    if errors:
        raise InvalidParams(first_few(errors, serializer))
    return dict(serializer.validated_data)


def as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """The validated values as JSON has them.

    Raises:
        InvalidParams: naming those that JSON, or a database, cannot take.
    """
    params, errors = {}, {}
    for name, value in values.items():
        try:
            check_keys(value, "It is")
            params[name] = json.loads(json.dumps(value, cls=Encoder))
            check_json(params[name], "It is")
        except (TypeError, ValueError, RecursionError, ResultNotJSON) as exc:
            errors[name] = [_sentence(exc)]
    if errors:
        raise InvalidParams(errors)
    return params


def _refused(fields: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Errors of what no serializer should see: some would fail over it, or take it."""
    for name, value in params.items():
        if isinstance(value, File) and isinstance(fields.get(name), FileField | NoneType):
            continue
        if isinstance(value, Several):
            yield name, ["Send it once, not several times."]
            continue
        try:
            if _has_file(value):
                if isinstance(value, list) and is_file_list(fields.get(name)):
                    continue  # the field says which of them is no file
                one = isinstance(fields.get(name), FileField)
                yield name, ["Send one file." if one else "Send a value, not a file."]
                continue
            if isinstance(fields.get(name), JSONField) and getattr(value, "is_json_string", False):
                value = json.loads(value)  # of a form  # noqa: PLW2901
            check_keys(value, "It is")
            check_json(value, "It is", GIVEN_DEPTH)
        except RecursionError:
            yield name, ["It is nested too deep."]
        except ValueError:
            continue  # the field says so better
        except ResultNotJSON as exc:
            # A caller in this process may give what the serializer makes JSON of.
            if not isinstance(exc.__cause__, TypeError):
                yield name, [_sentence(exc)]


def _has_file(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_file, value.values()))
    return isinstance(value, File) or (isinstance(value, list) and any(map(_has_file, value)))


def _unknown(field: Any, value: Any) -> Iterator[tuple[Any, Any]]:
    """Errors of the keys that no field takes, as DRF nests them."""
    if isinstance(field, ListSerializer) and isinstance(value, list):
        for index, part in enumerate(value):
            if told := dict(_unknown(field.child, part)):
                yield index, told
    if not (isinstance(field, Serializer) and isinstance(value, Mapping)):
        return
    for name, part in value.items():
        if name in field.fields:
            if told := dict(_unknown(field.fields[name], part)):
                yield name, told
        elif name not in IGNORED:
            yield name, [UNKNOWN]


def _sentence(exc: Exception) -> str:
    return clean_text(str(exc).rstrip(".") + ".")
