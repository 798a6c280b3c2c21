"""Reads the rows of a delimited text, and finds what is wrong with an unreadable row."""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

from examples.csv_profile.dialect import said_delimiter
from examples.csv_profile.errors import UnusableFile
from examples.csv_profile.lines import line_breaks

__all__ = ["MAX_RECORD", "Row", "read_rows"]

MAX_RECORD = 2 * 1024 * 1024
"""The most characters in a row. A longer row is most likely an unclosed quote."""

REMEDY = 'close it, and write quotes inside a quoted cell twice ("")'


class Row(NamedTuple):
    """One row: its first line in the file, counted from 1, and its cells."""

    line: int
    cells: list[str]


def read_rows(lines: Iterable[str], delimiter: str) -> Iterator[Row]:
    """Read rows, strictly: a quote opens and closes a whole cell.

    A blank line is a row without cells. Spaces after a delimiter are dropped. A first line that
    only names the delimiter is skipped.

    Raises:
        UnusableFile: an unclosed or misplaced quote, or a cell or row that is too long.
    """
    lines = iter(lines)
    opening = [*islice(lines, 1)]
    passed_over = sum(1 for line in opening if said_delimiter(line))
    record: list[str] = []

    def recorded() -> Iterator[str]:
        size = 0
        for line in chain(opening[passed_over:], lines):
            size = size + len(line) if record else len(line)
            record.append(line)
            if size > MAX_RECORD:
                raise UnusableFile(
                    f"the row that begins in line {first:,} has more than {MAX_RECORD:,} "
                    f"characters; is a quote left open there? If so, {REMEDY}"
                )
            yield line

    reader = csv.reader(recorded(), delimiter=delimiter, strict=True, skipinitialspace=True)
    first = 1 + passed_over
    try:
        for cells in reader:
            yield Row(first, cells)
            record.clear()
            first = reader.line_num + 1 + passed_over
    except csv.Error as exc:
        raise UnusableFile(_explain("".join(record), delimiter, first)) from exc


def _explain(record: str, delimiter: str, first: int) -> str:
    """What is wrong with the unreadable record that begins in line `first`."""
    start = _stop(record, delimiter)
    line = first + line_breaks(record[:start])
    cell = record[start:].lstrip(" ")
    limit = csv.field_size_limit()
    if not cell.startswith('"'):
        return f"line {line:,} has a cell of more than {limit:,} characters; shorten it"
    opened = f"the quote that opens in line {line:,}"
    if len(cell) > limit:
        return f"{opened} is not closed within {limit:,} characters; {REMEDY}"
    if re.match(r'"(?:[^"]|"")*+"', cell):
        return f"{opened} is closed and then followed by more text; {REMEDY}"
    return f"{opened} is never closed; {REMEDY}"


def _stop(record: str, delimiter: str) -> int:
    """The start of the first malformed cell."""
    mark, longest = re.escape(delimiter), csv.field_size_limit()
    cell = re.compile(
        rf' *+(?:"(?:[^"]|""){{0,{longest}}}+"|[^"{mark}\r\n][^{mark}\r\n]{{0,{longest - 1}}}+|)'
        rf"(?:{mark}|\r\n|\r|\n)"
    )
    position = 0
    while match := cell.match(record, position):
        position = match.end()
    return position
