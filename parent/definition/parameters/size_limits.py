"""Limits on the number of values in a body, and on the number of errors in an answer.

A serializer validates each value, and creates a text for each invalid one. A body of a few
megabytes may have a quarter of a million values: many seconds of work for a web process.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework.serializers import Serializer
from rest_framework.settings import api_settings

from children.sanitize import clean_text
from parent.conf import max_body_values

__all__ = ["shorten_errors", "size_problem"]

MOST_ERRORS = 10
"""Errors of one list, or of undeclared fields."""
CONTAINERS = (Mapping, list, tuple)


def size_problem(value: Any, field: Any = None) -> str | None:
    """The error if `value` holds more than `MAX_BODY_VALUES` values, else None.

    Args:
        field: the serializer or field that will validate it. Each declared field counts at each
            place where a nested serializer is used, because it may be missing there.
    """
    most = left = max_body_values()
    todo = [(field, value)]
    while todo:
        field, value = todo.pop()
        parts = _parts(field, value)
        left -= len(value) + (len(field.fields) if isinstance(field, Serializer) else 0)
        if left < 0:
            return f"It holds more than {most:,} values. Send less, or send a file."
        todo += [(inner, part) for inner, part in parts if isinstance(part, CONTAINERS)]
    return None


def _parts(field: Any, value: Any) -> Iterable[tuple[Any, Any]]:
    """The items of a container, each with the field that validates it."""
    if isinstance(value, Mapping):
        fields = field.fields if isinstance(field, Serializer) else {}
        child = getattr(field, "child", None)
        return ((fields.get(name, child), part) for name, part in value.items())
    child = getattr(field, "child", None)
    return ((child, part) for part in value)


def shorten_errors(errors: Any, field: Any = None) -> Any:
    """DRF's errors, shortened: all those of declared fields, the first `MOST_ERRORS` of others.

    Args:
        field: the serializer or field whose errors they are; None if it is not known.
    """
    if isinstance(errors, list | tuple):
        if not any(isinstance(part, CONTAINERS) for part in errors):
            return [clean_text(str(text)) for text in errors[:MOST_ERRORS]]
        # The errors of a list of rows have an empty item for each valid row.
        errors = {index: part for index, part in enumerate(errors) if part}
    if not isinstance(errors, Mapping):
        return clean_text(str(errors))
    non_field = api_settings.NON_FIELD_ERRORS_KEY
    fields: Mapping[str, Any] = field.fields if isinstance(field, Serializer) else {}
    others = [name for name in errors if name not in fields and name != non_field]
    left_out = set(others[MOST_ERRORS:])
    shortened = {
        clean_text(name) if isinstance(name, str) else name: shorten_errors(
            part, fields.get(name, getattr(field, "child", None))
        )
        for name, part in errors.items()
        if name not in left_out
    }
    if left_out:
        messages = shortened.get(non_field, [])
        more = f"And {len(left_out):,} more like these."
        messages = messages if isinstance(messages, list) else [messages]
        shortened[non_field] = [*messages, more]
    return shortened
