"""Rows as one JSON value, which both databases can join to a table.

Django's `bulk_update` writes a CASE with a WHEN per row and column, which takes seconds for
thousands of rows.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any, cast
from uuid import UUID

from django.db import connection
from django.db.models import Field, JSONField, Model

__all__ = ["PLAIN", "as_table", "batches", "column_name", "fields_of", "new_value"]

PLAIN: Mapping[str, type] = {
    **dict.fromkeys(("CharField", "TextField"), str),
    **dict.fromkeys(("SmallIntegerField", "IntegerField", "BigIntegerField"), int),
    **dict.fromkeys(("PositiveSmallIntegerField", "PositiveIntegerField"), int),
    "FloatField": float,
    "BooleanField": bool,
}
"""Values that need no conversion, by the kind of the field. They are nine of ten, and converting
them takes a fifth of the time of a start."""
BATCH_SIZE = 32_000_000
"""Characters of JSON in one statement, if it has more than one row."""


@cache
def fields_of(model: type[Model], names: tuple[str, ...]) -> dict[str, "Field[Any, Any]"]:
    """The fields of the model with these names."""
    return {name: cast("Field[Any, Any]", model._meta.get_field(name)) for name in names}


def column_name(field: "Field[Any, Any]") -> str:
    """The name of its column, quoted."""
    return connection.ops.quote_name(str(field.column))


def as_table(fields: Mapping[str, "Field[Any, Any]"]) -> str:
    """The JSON parameter as a table `r`, with a typed column for each field."""
    if connection.vendor == "postgresql":
        types = ", ".join(f'"{name}" {_type_of(field)}' for name, field in fields.items())
        return f"jsonb_to_recordset(%s::jsonb) AS r({types})"
    values = ", ".join(f"json_extract(value, '$.{name}') AS \"{name}\"" for name in fields)
    return f"(SELECT {values} FROM json_each(%s)) AS r"  # noqa: S608 - names of our fields


def _type_of(field: "Field[Any, Any]") -> str:
    return "text" if isinstance(field, JSONField) else str(field.db_type(connection))


def new_value(name: str, field: "Field[Any, Any]") -> str:
    """The new value, as SQL."""
    if isinstance(field, JSONField) and connection.vendor == "postgresql":
        return f'r."{name}"::jsonb'
    return f'r."{name}"'


def batches(
    rows: Sequence[Mapping[str, Any]], key: str, fields: Mapping[str, "Field[Any, Any]"]
) -> Iterator[tuple[list[Any], str]]:
    """The keys of the rows, and the rows as a JSON array, which PostgreSQL limits to 256 MB."""
    keys: list[Any] = []
    texts: list[str] = []
    size = 0
    for row in rows:
        payload = {name: _in_payload(field, row[name]) for name, field in fields.items()}
        text = _encode(payload)
        if keys and size + len(text) > BATCH_SIZE:
            yield keys, f"[{','.join(texts)}]"
            keys, texts, size = [], [], 0
        keys.append(row[key])
        texts.append(text)
        size += len(text)
    yield keys, f"[{','.join(texts)}]"


def _in_payload(field: "Field[Any, Any]", value: Any) -> Any:
    if value is None or type(value) is PLAIN.get(field.get_internal_type()):
        return value
    if isinstance(field, JSONField):
        # As text: SQLite's json_extract would return a string without quotes, and true as 1.
        return json.dumps(value, cls=field.encoder)
    return field.get_db_prep_save(value, connection)


def _text(value: object) -> str:
    """Times and UUIDs as text. Django's own encoder would cut off the microseconds."""
    if isinstance(value, date | UUID):
        return str(value)
    raise TypeError(f"update_rows() cannot write a {type(value).__name__}: convert it first")


_encode = json.JSONEncoder(default=_text).encode
