"""The value of one cell: its kind, and its place on a scale."""

import math
import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

__all__ = [
    "LARGEST",
    "Kind",
    "Type",
    "common_type",
    "exact",
    "is_missing",
    "iso_date",
    "iso_datetime",
    "read_cell",
]

Kind = Literal["integer", "number", "boolean", "date", "datetime", "text"]
Type = Kind | Literal["empty"]

# "NA" is not among them: it is also Namibia. A column with it shows up as "mixed" instead.
MISSING = frozenset({"", "n/a", "#n/a", "nan", "null", "none"})

LARGEST = 10**300
"""Places on a scale are below this, so that no difference of two overflows a float."""

# Digits after a leading zero are a code, such as a postcode, and so text. U+2212 is the minus of
# typeset tables. Dates are ISO 8601 only: 03/04/2024 may be two different days.
VALUE = re.compile(
    r"(?P<integer>[+\-\u2212]?(?:0|[1-9][0-9]*+))"
    r"|(?P<number>[+\-\u2212]?(?:(?:0|[1-9][0-9]*+)(?:\.[0-9]*+)?|\.[0-9]++)"
    r"(?:[eE][+\-\u2212]?0*+[0-9]{1,3})?)"
    r"|(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"|(?P<datetime>[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}"
    r"(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)"
    r"|(?P<boolean>(?i:true|false|yes|no))"
)
SIGNS = "+-\u2212"
DIGITS = len(str(LARGEST)) - 1
MIXTURES: dict[frozenset[Kind], Type] = {
    frozenset({"integer", "number"}): "number",
    frozenset({"date", "datetime"}): "datetime",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = (datetime.min.replace(tzinfo=UTC) - EPOCH).total_seconds()
LAST = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - EPOCH).total_seconds()


def is_missing(text: str) -> bool:
    """Whether a cell, stripped of spaces, stands for "no value"."""
    return len(text) <= 4 and text.lower() in MISSING


def read_cell(text: str) -> tuple[Kind, float | None]:
    """The kind of a cell's text, stripped and not missing, and its place on a scale.

    The place is the value of an integer (exactly, as an int) or of a number; seconds since 1970 for
    a date, in UTC unless it has an offset; and None for everything else. An integer with more
    digits than `LARGEST` has none either; any other number of that size is text.
    """
    match = VALUE.fullmatch(text)
    kind = cast("Kind", match.lastgroup) if match else "text"
    if kind == "integer":
        # Check the length first: the time to convert digits grows with the square of their number.
        return kind, int(_ascii(text)) if len(text.lstrip(SIGNS)) <= DIGITS else None
    if kind == "number":
        place = float(_ascii(text)) + 0.0  # turns -0.0 into 0.0
        return (kind, place) if abs(place) < LARGEST else ("text", None)
    if kind in {"date", "datetime"}:
        try:
            return kind, _seconds(text)
        except ValueError:  # such as the thirtieth of February
            return "text", None
    return kind, None


def exact(text: str, kind: Kind, place: float) -> float | str:
    """The exact value for `Decimal`: the cell's text if the place is a rounded float."""
    return _ascii(text) if kind == "number" else place


def common_type(kinds: Collection[Kind]) -> Type:
    """The narrowest type that fits all these kinds of values."""
    found = frozenset(kinds)
    if len(found) > 1:
        return MIXTURES.get(found, "text")
    return next(iter(found), "empty")


def iso_date(seconds: float) -> str:
    """The day, in UTC, of a moment in seconds since 1970."""
    return iso_datetime(seconds)[:10]


def iso_datetime(seconds: float) -> str:
    """A moment in seconds since 1970 as ISO 8601, to the second, in UTC."""
    moment = EPOCH + timedelta(seconds=math.floor(seconds))
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


def _ascii(number: str) -> str:
    return number.replace("\u2212", "-")


def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - EPOCH).total_seconds()
    if not FIRST <= seconds <= LAST:
        raise ValueError("its offset moves it out of the calendar")
    return int(seconds) if seconds.is_integer() else seconds
