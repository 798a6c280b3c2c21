"""The first pass: whether the file is a table, and which rows do not fit its header."""

from collections.abc import Iterable
from typing import TypedDict

from examples.csv_profile.errors import UnusableFile
from examples.csv_profile.header import name_columns
from examples.csv_profile.rows import Row

__all__ = ["MAX_LISTED", "Layout", "Ragged", "RaggedRow", "survey"]

MAX_LISTED = 20
"""How many ragged rows are listed with their lines. All are counted."""


class RaggedRow(TypedDict):
    line: int
    cells: int


class Ragged(TypedDict):
    """`count` rows have more or fewer cells than the header; the first ones are listed."""

    count: int
    first: list[RaggedRow]


class Layout(TypedDict):
    """The result of the first pass. `rows` excludes the header and blank lines."""

    columns: list[str]
    rows: int
    blank_lines: int
    ragged: Ragged
    warnings: list[str]


def survey(rows: Iterable[Row]) -> Layout:
    """Read all rows. The first row that is not blank is the header.

    Raises:
        UnusableFile: there is no header, it is too wide, or a row cannot be read.
    """
    numbered = iter(rows)
    blank = 0
    header: list[str] = []
    for row in numbered:
        if row.cells:
            header = row.cells
            break
        blank += 1
    if not any(cell.strip() for cell in header):
        raise UnusableFile("the file has no header row; the first line must name the columns")
    columns, warnings = name_columns(header)
    count, width = 0, len(columns)
    ragged = Ragged(count=0, first=[])
    for line, cells in numbered:
        if not cells:
            blank += 1
            continue
        count += 1
        if len(cells) != width:
            ragged["count"] += 1
            if len(ragged["first"]) < MAX_LISTED:
                ragged["first"].append(RaggedRow(line=line, cells=len(cells)))
    return Layout(columns=columns, rows=count, blank_lines=blank, ragged=ragged, warnings=warnings)
