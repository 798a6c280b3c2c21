"""How much a body may hold, and how much is said of what is wrong with it.

A validator looks at each value, and makes some text of each that is wrong: a body of a few
megabytes may have a quarter of a million, and would hold a web process for many seconds.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from rest_framework.serializers import Serializer
from rest_framework.settings import api_settings

from children.sanitize import clean_text

__all__ = ["check_size", "first_few"]

MOST_VALUES = 20_000
FEW = 10
CONTAINERS = (Mapping, list, tuple)


def check_size(value: Any, field: Any = None) -> str | None:
    """What to say where `value` holds more than `MAX_BODY_VALUES`; None where it does not.

    Args:
        field: the serializer, or field of one, that is to look at it. Each field of a nested
            serializer counts wherever it could stand: it may be missing there.
    """
    most: int = getattr(settings, "MAX_BODY_VALUES", MOST_VALUES)
    left, todo = most, [(field, value)]
    while todo:
        field, value = todo.pop()
        parts = _parts(field, value)
        left -= len(value) + (len(field.fields) if isinstance(field, Serializer) else 0)
        if left < 0:
            return f"It holds more than {most:,} values. Send less, or send a file."
        todo += [(inner, part) for inner, part in parts if isinstance(part, CONTAINERS)]
    return None


def _parts(field: Any, value: Any) -> Iterable[tuple[Any, Any]]:
    """What is in a container, each with the field that looks at it."""
    if isinstance(value, Mapping):
        fields = field.fields if isinstance(field, Serializer) else {}
        child = getattr(field, "child", None)
        return ((fields.get(name, child), part) for name, part in value.items())
    child = getattr(field, "child", None)
    return ((child, part) for part in value)


def first_few(errors: Any, field: Any = None) -> Any:
    """DRF's errors without end: of the fields that are declared all, of all else the first few.

    Args:
        field: the serializer, or field of one, whose errors they are; None where it is not known.
    """
    if isinstance(errors, list | tuple):
        if not any(isinstance(part, CONTAINERS) for part in errors):
            return [clean_text(str(text)) for text in errors[:FEW]]
        # A list of rows has an empty part for each row that is right.
        errors = {index: part for index, part in enumerate(errors) if part}
    if not isinstance(errors, Mapping):
        return clean_text(str(errors))
    whole = api_settings.NON_FIELD_ERRORS_KEY
    fields: Mapping[str, Any] = field.fields if isinstance(field, Serializer) else {}
    others = [name for name in errors if name not in fields and name != whole]
    left_out = set(others[FEW:])
    told = {
        clean_text(name) if isinstance(name, str) else name: first_few(
            part, fields.get(name, getattr(field, "child", None))
        )
        for name, part in errors.items()
        if name not in left_out
    }
    if left_out:
        said = told.get(whole, [])
        more = f"And {len(left_out):,} more like these."
        told[whole] = [*(said if isinstance(said, list) else [said]), more]
    return told
