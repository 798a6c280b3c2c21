"""The main findings of a profile, in sentences."""

from collections.abc import Iterator, Sequence
from itertools import islice

from examples.csv_profile.columns import ColumnProfile
from examples.csv_profile.layout import Layout, Ragged

__all__ = ["MAX_FINDINGS", "findings"]

MAX_FINDINGS = 50
RARE = 0.1
"""A text column with at most this share of other values may be meant to be of another type."""


def findings(layout: Layout, columns: Sequence[ColumnProfile]) -> list[str]:
    """One sentence per finding, first of the file, then of columns; at most `MAX_FINDINGS`."""
    return list(islice(_all(layout, columns), MAX_FINDINGS))


def _all(layout: Layout, columns: Sequence[ColumnProfile]) -> Iterator[str]:
    if not layout["rows"]:
        yield "The file has a header and no rows."
    if layout["ragged"]["count"]:
        yield _ragged(layout["ragged"], len(layout["columns"]))
    if layout["blank_lines"]:
        yield f"{_count(layout['blank_lines'], 'blank line')} passed over."
    yield from layout["warnings"]
    for column in columns:
        yield from _about(column)


def _ragged(ragged: Ragged, width: int) -> str:
    lines = ", ".join(f"{row['line']:,} ({row['cells']:,})" for row in ragged["first"][:5])
    more = ", and others" if ragged["count"] > 5 else ""
    rows = _count(ragged["count"], "row")
    return (
        f"{rows} without exactly {_count(width, 'cell')}; line (cells): {lines}{more}. "
        "Missing cells count as missing values, cells beyond the last column are left out."
    )


def _about(column: ColumnProfile) -> Iterator[str]:
    name, kinds = column["name"], column["kinds"]
    if column["missing"] and not column["present"]:
        yield f"“{name}” is empty."
    elif column["present"] > 1 and column["distinct"] == 1:
        yield f"“{name}” holds the same value throughout."
    if column["type"] in {"integer", "number"} and column["min"] is None:
        yield f"“{name}” has an integer of more than 300 digits, and so no range and no mean."
    texts = kinds.get("text", 0)
    if column["type"] == "text" and 0 < texts <= RARE * column["present"]:
        usual = max(kinds, key=lambda kind: kinds[kind])
        yield (
            f"“{name}” is text because of {_count(texts, 'value')} out of "
            f"{column['present']:,}; most are of type {usual}."
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
