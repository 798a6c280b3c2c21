"""Large results: left out of what is read with their rows, and read by themselves when asked for.

Such a row says the result's size, and Django reads the result when somebody takes it from the row.
"""

from collections.abc import Sequence
from typing import Any

from django.db.models import DEFERRED, QuerySet, TextField
from django.db.models.functions import Cast, Left

from parent.conf import setting
from parent.models import Run, Step
from parent.store.prepared import database

__all__ = ["beginning_of", "json_of", "largest_inline", "leave_out", "result_sql", "size_sql"]

NULL = "null"


def largest_inline() -> int:
    """Bytes of the largest result that is read with its row."""
    return int(setting("RESULT_INLINE_LIMIT") or 0)


def size_sql(table: str) -> str:
    """The size of the result of a row, also of one that a release before has written."""
    text = f"CAST({table}.result AS BLOB)"
    if database().vendor == "postgresql":
        text = f"CAST({table}.result AS text)"
    length = "octet_length" if database().vendor == "postgresql" else "length"
    return f"COALESCE({table}.result_size, {length}({text}))"


def result_sql(table: str, limit: int, condition: str = "TRUE") -> str:
    """The result of a row where it is not large, and the condition holds; else NULL."""
    return f"CASE WHEN {condition} AND {size_sql(table)} <= {limit} THEN {table}.result END"


def leave_out(names: Sequence[str], columns: list[Any]) -> None:
    """Make a result that has a size, and was not read, one that is read when it is asked for."""
    if "result" in names and "result_size" in names:
        result, size = names.index("result"), names.index("result_size")
        if columns[size] is not None and columns[result] is None:
            columns[result] = DEFERRED


def json_of(row: Run | Step) -> bytes:
    """The whole result as JSON in UTF-8, as the database has it: nothing is parsed.

    Raises:
        ObjectDoesNotExist: the row is gone.
    """
    (text,) = _of(row).values_list(Cast("result", TextField())).get()
    return (NULL if text is None else text).encode()


def beginning_of(row: Run | Step, length: int, column: str = "result") -> str:
    """The first characters of the result's JSON, or of another such column's; `…` for the rest.

    Raises:
        ObjectDoesNotExist: the row is gone.
    """
    (text,) = _of(row).values_list(Left(Cast(column, TextField()), length + 1)).get()
    text = NULL if text is None else text
    return text if len(text) <= length else f"{text[:length]}…"


def _of(row: Run | Step) -> "QuerySet[Any]":
    rows: QuerySet[Any] = type(row)._default_manager.all()
    return rows.filter(pk=row.pk)
