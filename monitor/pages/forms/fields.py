"""The fields of a form: how each is shown, by its style in DRF's form renderer."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from rest_framework.fields import (
    BooleanField,
    DateField,
    DateTimeField,
    DecimalField,
    DictField,
    FloatField,
    IntegerField,
    JSONField,
)
from rest_framework.serializers import Serializer

from monitor.api.body_params import is_structured
from parent.store.files import is_file_list

__all__ = ["IN_UTC", "TakesParams", "as_text", "form_serializer", "is_fieldset"]

IN_UTC = {"in_utc": True}
"""The style of a time that the page's script shows in the reader's time zone."""
SENT_BY_SCRIPT = "+00:00"
JSON_TEXT = {"base_template": "json.html"}
LONGEST_EXAMPLE = 200  # characters
MANY_FILES = {"base_template": "input.html", "input_type": "file", "multiple": True}


class TakesParams(Protocol):
    """A workflow, or anything else with a serializer class that a form can be made of."""

    @property
    def params(self) -> Any: ...


def is_fieldset(field: Any) -> bool:
    """Whether the form shows the fields inside this one, as it does those of the whole."""
    return isinstance(field, Serializer) and (field.parent is None or not is_structured(field))


def form_serializer(
    workflow: TakesParams, params: Mapping[str, Any] | None = None
) -> "Serializer[Any]":
    """The serializer with the styles that the form needs; of the data `params`, if there is any."""
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
                field.style = field.style | as_text(value)
    return serializer


def _mark_times(serializer: Any, params: Any) -> None:
    """Mark the times that the page's script has sent, in UTC."""
    for name, field in getattr(serializer, "fields", {}).items():
        value = params.get(name) if isinstance(params, Mapping) else None
        if isinstance(field, Serializer):
            _mark_times(field, value)
        elif isinstance(field, DateTimeField) and str(value).endswith(SENT_BY_SCRIPT):
            field.style = field.style | IN_UTC


def as_text(value: Any) -> dict[str, str]:
    """The style of a field that shows this value as JSON."""
    return {"text": json.dumps(value, indent=2, ensure_ascii=False, default=str)}


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
