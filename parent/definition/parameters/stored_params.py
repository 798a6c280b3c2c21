"""Which fields of a workflow's parameters make values that no run can store as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import date, time, timedelta
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from django.core.files import File
from django.db.models import Model
from rest_framework.fields import ChoiceField, FileField, HiddenField, empty

from children.sanitize import clean_text
from parent.definition.parameters.params import Encoder

__all__ = ["problems"]

STORED = (
    *(str, int, float, bool, NoneType, Decimal, UUID, date, time, timedelta),
    *(Mapping, Sequence, Set, Model, File),
)
"""Types whose values are stored. A model's instance is stored as its id."""


def problems(serializer: Any) -> Iterator[tuple[str, str]]:
    """The problems of these parameters, each with a hint."""
    for name, field in getattr(serializer, "fields", {}).items():
        for path, part in _parts(name, field):
            yield from _field_problems(path, part)


def _parts(path: str, field: Any) -> Iterator[tuple[str, Any]]:
    """The field, and all fields in it, with their paths."""
    if getattr(field, "read_only", False):
        return
    yield path, field
    for name, part in getattr(field, "fields", {}).items():
        yield from _parts(f"{path}.{name}", part)
    child = getattr(field, "child", None) or getattr(field, "child_relation", None)
    if child is not None:
        yield from _parts(f"{path}[]", child)


def _field_problems(path: str, field: Any) -> Iterator[tuple[str, str]]:
    default = field.default
    if isinstance(field, HiddenField) and getattr(default, "requires_context", False):
        yield (
            f"the parameter {path!r} takes its value from the request, which a run does not have",
            "Let it be a field like the others, and give its value when you start the run.",
        )
    elif default is not empty and not callable(default) and not _is_json(default):
        yield (
            f"the default of the parameter {path!r}, {_short(default)}, cannot be stored as JSON",
            "Write a default of JSON values: text, numbers, lists, dicts.",
        )
    if isinstance(field, ChoiceField):
        for choice in field.choices:
            if not _is_json(choice):
                yield (
                    f"the parameter {path!r} has the choice {_short(choice)}, which cannot be "
                    "stored as JSON",
                    "Let its choices be texts or numbers.",
                )
                break
    made = _annotated(field)
    if made is not None and not isinstance(field, FileField) and not _is_stored(made):
        yield (
            f"to_internal_value of the parameter {path!r} returns {_name_of(made)}, which cannot "
            "be stored as JSON",
            "Return JSON values or a model's instance, and make the object in the child.",
        )


def _annotated(field: Any) -> Any:
    """What the author's own `to_internal_value` says that it returns; None if it does not say."""
    method = type(field).to_internal_value
    if method.__module__.startswith(("rest_framework.", "django.")):
        return None
    try:
        return get_type_hints(method).get("return")
    except Exception:  # a name that only a type checker knows
        return None


def _is_stored(made: Any) -> bool:
    if get_origin(made) in (Union, UnionType):
        return all(_is_stored(one) for one in get_args(made))
    kind = get_origin(made) or made
    return not isinstance(kind, type) or kind is object or issubclass(kind, STORED)


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, cls=Encoder)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _name_of(made: Any) -> str:
    return str(getattr(made, "__name__", made))


def _short(value: object) -> str:
    return clean_text(repr(value))[:100]
