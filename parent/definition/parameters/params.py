"""A run's parameters: their validation, and their form as JSON."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, time
from types import NoneType
from typing import Any, NamedTuple

from django.core.files import File
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model
from django.utils.translation import gettext_lazy as _
from rest_framework.fields import FileField, JSONField
from rest_framework.serializers import ListSerializer, Serializer
from rest_framework.settings import api_settings

from children.errors import ResultNotJSON
from children.isolation.contained import contained
from children.sanitize import GIVEN_DEPTH, check_json, check_keys, clean_text
from parent.definition.parameters.json_text import RepeatedKey, read_json
from parent.definition.parameters.size_limits import shorten_errors, size_problem
from parent.definition.workflow import Workflow
from parent.errors import InvalidParams
from parent.store.files import is_file_list

__all__ = [
    "IGNORED",
    "Unusable",
    "as_json",
    "has_file",
    "how_to_freeze_params",
    "validate",
    "validate_by",
]

IGNORED = frozenset({"csrfmiddlewaretoken"})
UNKNOWN = _("This workflow has no such parameter.")
READERS = ("to_internal_value", "run_validation")
"""A serializer with one of these of its own may need other values than its fields."""


class Unusable(NamedTuple):
    """What a form has sent for a field where nothing can be read."""

    why: str


class Encoder(DjangoJSONEncoder):
    """Django's encoder, but with microseconds, which that cuts off; also of model instances, as
    their ids, and of sets.
    """

    def default(self, o: Any) -> Any:
        if isinstance(o, Model):
            if o.pk is None:
                name = type(o).__name__
                raise TypeError(f"This {name} is not saved, and only its id would be stored")
            return o.pk
        if isinstance(o, set | frozenset):
            return sorted(o, key=str)
        if isinstance(o, datetime):
            text = o.isoformat()
            return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
        if isinstance(o, time) and o.tzinfo is None:
            return o.isoformat()
        return super().default(o)


def validate(workflow: Workflow, params: Mapping[str, Any]) -> dict[str, Any]:
    """The validated values of `params`.

    Raises:
        InvalidParams: with errors for each field; for unknown fields too, nested ones included.
    """
    return validate_by(workflow.params, params)


def validate_by(kind: Any, params: Mapping[str, Any], *, unknown: Any = UNKNOWN) -> dict[str, Any]:
    """The validated values of `params`, by this serializer class; None takes none.

    Args:
        unknown: the error of a field that there is not.

    Raises:
        InvalidParams: as `validate` does. What else the author's serializer raises passes through.
    """
    with contained():
        return _validated(kind, params, unknown)


def _validated(kind: Any, params: Mapping[str, Any], unknown: Any) -> dict[str, Any]:
    serializer = kind() if kind else Serializer()
    fields: Mapping[str, Any] = getattr(serializer, "fields", {})
    if too_much := size_problem(params, serializer):
        others = {name: [str(unknown)] for name in params if name not in fields}
        errors = {api_settings.NON_FIELD_ERRORS_KEY: [too_much], **others}
        raise InvalidParams(shorten_errors(errors, serializer))
    params = {
        name: [value] if isinstance(value, File) and is_file_list(fields.get(name)) else value
        for name, value in params.items()
    }
    unusable = dict(_unusable(fields, params))
    usable = {name: value for name, value in params.items() if name not in unusable}
    serializer = type(serializer)(data=usable)
    errors = {} if serializer.is_valid() else dict(serializer.errors)
    errors |= dict(_unknown(serializer, usable, str(unknown))) | unusable
    if errors:
        raise InvalidParams(shorten_errors(errors, serializer))
    return dict(serializer.validated_data)


def how_to_freeze_params(workflow: Workflow) -> dict[str, Any]:
    """The options of `decisions.mapping.freeze` for items that are parameters of this workflow.

    Only their names are checked there: there may be very many items, and a serializer may ask the
    database. The values are validated when the item's run opens.
    """
    serializer = workflow.params() if workflow.params else Serializer()
    if not isinstance(serializer, Serializer):
        return {"argument": None}
    fields = serializer.fields
    own = any(getattr(type(serializer), each) is not getattr(Serializer, each) for each in READERS)
    needed = () if own else [n for n, f in fields.items() if f.required and not f.read_only]

    def check(**given: Any) -> None:
        for name in given:
            if name not in fields and name not in IGNORED:
                raise TypeError(f"the workflow {workflow.name!r} has no parameter {name!r}")
        for name in needed:
            if name not in given:
                raise TypeError(f"the workflow {workflow.name!r} needs the parameter {name!r}")

    return {"argument": next(iter(fields), None), "check_arguments": check}


def as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """The validated values as JSON values.

    Raises:
        InvalidParams: with an error for each value that JSON or a database cannot store.
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


def _unusable(fields: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Errors of values that no serializer should get: some raise for them, some accept them."""
    for name, value in params.items():
        if isinstance(value, File) and isinstance(fields.get(name), FileField | NoneType):
            continue
        if isinstance(value, Unusable):
            yield name, [value.why]
            continue
        try:
            if has_file(value):
                if isinstance(value, list) and is_file_list(fields.get(name)):
                    continue  # the field itself reports which of them are not files
                one = isinstance(fields.get(name), FileField)
                yield name, ["Send one file." if one else "Send a value, not a file."]
                continue
            if isinstance(fields.get(name), JSONField) and getattr(value, "is_json_string", False):
                value = read_json(value)  # from a form  # noqa: PLW2901
            check_keys(value, "It is")
            check_json(value, "It is", GIVEN_DEPTH)
        except RecursionError:
            yield name, ["It is nested too deep."]
        except RepeatedKey as exc:
            yield name, [_sentence(exc)]
        except ValueError:
            continue  # the field itself reports that, with a better text
        except ResultNotJSON as exc:
            # A caller in this process may pass objects that the serializer converts to JSON.
            if not isinstance(exc.__cause__, TypeError):
                yield name, [_sentence(exc)]


def has_file(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(has_file, value.values()))
    return isinstance(value, File) or (isinstance(value, list) and any(map(has_file, value)))


def _unknown(field: Any, value: Any, text: str) -> Iterator[tuple[Any, Any]]:
    """Errors of keys without a field, nested as DRF nests errors."""
    if isinstance(field, ListSerializer) and isinstance(value, list):
        for index, part in enumerate(value):
            if errors := dict(_unknown(field.child, part, text)):
                yield index, errors
    if not (isinstance(field, Serializer) and isinstance(value, Mapping)):
        return
    for name, part in value.items():
        if name in field.fields:
            if errors := dict(_unknown(field.fields[name], part, text)):
                yield name, errors
        elif name not in IGNORED:
            yield name, [text]


def _sentence(exc: Exception) -> str:
    return clean_text(str(exc).rstrip(".") + ".")
