"""Large results are not read with their rows: the row has their size, and reads them on demand.

A result is large if it has more bytes than `WORKFLOW_RESULT_INLINE_LIMIT`.
"""

from typing import Any, TypeVar

from django.db.models import BigIntegerField, Case, F, Func, QuerySet, TextField, Value, When
from django.db.models.functions import Cast, Coalesce, Left

from parent.conf import setting
from parent.models import Item, Run, Step
from parent.models.fields import ResultField

__all__ = ["inline_limit", "json_beginning", "read_rows", "result_json"]

NULL = "null"

M = TypeVar("M", Run, Step, Item)


class OctetLength(Func):
    """The size of a text in bytes."""

    function = "OCTET_LENGTH"
    output_field = BigIntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler, connection, template="LENGTH(CAST(%(expressions)s AS BLOB))", **context
        )


def inline_limit() -> int:
    """The size in bytes of the largest result that is read with its row."""
    return int(setting("RESULT_INLINE_LIMIT") or 0)


def read_rows(rows: "QuerySet[M]") -> list[M]:
    """The rows, with the results that are not large.

    A large result is a deferred field: Django reads it when it is first used.
    """
    # Rows from before release 0.1 have no size: it is measured here.
    size = Coalesce("result_size", OctetLength(Cast("result", TextField())))
    small = Case(
        When(measured_size__lte=inline_limit(), then=F("result")),
        default=Value(None),
        output_field=ResultField(),
    )
    found: list[Any] = list(
        rows.defer("result").annotate(measured_size=size).annotate(small_result=small)
    )
    for row in found:
        row.result_size, result = row.measured_size, row.__dict__.pop("small_result")
        if row.result_size is None or result is not None:
            row.result = result
    return found


def result_json(row: Run | Step | Item) -> bytes:
    """The whole result as JSON in UTF-8, as stored: it is not parsed.

    Raises:
        ObjectDoesNotExist: the row is gone.
    """
    (text,) = _row(row).values_list(Cast("result", TextField())).get()
    return (NULL if text is None else text).encode()


def json_beginning(row: Run | Step | Item, length: int, column: str = "result") -> str:
    """The first `length` characters of a JSON column, with `…` if there are more.

    Raises:
        ObjectDoesNotExist: the row is gone.
    """
    (text,) = _row(row).values_list(Left(Cast(column, TextField()), length + 1)).get()
    text = NULL if text is None else text
    return text if len(text) <= length else f"{text[:length]}…"


def _row(row: Run | Step | Item) -> "QuerySet[Any]":
    rows: QuerySet[Any] = type(row)._default_manager.all()
    return rows.filter(pk=row.pk)
