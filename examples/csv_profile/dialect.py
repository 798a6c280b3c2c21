"""Finds the delimiter of a file."""

import codecs
import csv
import io
import re
from itertools import islice

from examples.csv_profile.errors import UnusableFile

__all__ = ["DELIMITERS", "character", "choose_delimiter", "said_delimiter", "sample_text"]

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
"""Delimiters by the names that users and results have for them."""

SAMPLE_ROWS = 200

# A tab may be written as itself or as `\t`. A program that took the line as a row may have quoted
# it, or filled it up to the width of the other rows.
SEPARATOR_LINE = re.compile(
    r"""(?i:"?sep=)(?P<said>\t|\\t|[^\s\w"\\])(?P=said)*"?(?P=said)* *[\r\n]*"""
)


def choose_delimiter(text: str, wanted: str = "auto") -> str:
    """The delimiter's name, or the character itself if it has no name.

    It is `wanted`, or the one that the first line names, or the one that fits the rows best.

    `csv.Sniffer` counts characters, and so may take a comma in a text, or the letter "e", as the
    delimiter. Reading the sample once with each delimiter respects quotes and costs little. For a
    single column it is "comma".

    Args:
        text: the file's first lines.
        wanted: one of `DELIMITERS`, or "auto".

    Raises:
        UnusableFile: `wanted` is unknown.
    """
    if wanted in DELIMITERS:
        return wanted
    if wanted != "auto":
        known = ", ".join(DELIMITERS)
        raise UnusableFile(f"the delimiter {wanted!r} is unknown; use one of: auto, {known}")
    if said := said_delimiter(next(io.StringIO(text, newline=""), "")):
        return next((name for name, known in DELIMITERS.items() if known == said), said)
    # max() keeps the first of equals: comma.
    return max(DELIMITERS, key=lambda name: _agreement(text, DELIMITERS[name]))


def character(delimiter: str) -> str:
    """The character of a delimiter that `choose_delimiter` returned."""
    return DELIMITERS.get(delimiter, delimiter)


def said_delimiter(line: str) -> str | None:
    """The delimiter that a file's first line names, as Excel's `sep=;` does.

    Such a line is not part of the table. None for any other line.
    """
    match = SEPARATOR_LINE.fullmatch(line)
    if match is None:
        return None
    return "\t" if match["said"] in {"\t", "\\t"} else match["said"]


def sample_text(head: bytes, encoding: str) -> str:
    """Decode a file's first bytes up to the last complete line.

    Bytes that cannot be decoded are reported later, when the file is read.
    """
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    text = codecs.getincrementaldecoder(codec)("replace").decode(head)
    whole, newline, _ = text.rpartition("\n")
    return whole + newline or text


def _agreement(text: str, delimiter: str) -> tuple[float, int]:
    """The share of rows that have as many cells as the first one, and that number."""
    widths = [len(row) for row in _rows(text, delimiter) if row]
    if not widths or widths[0] == 1:
        return (0.0, 1)
    return (widths.count(widths[0]) / len(widths), widths[0])


def _rows(text: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        return list(islice(reader, SAMPLE_ROWS))
    except csv.Error:
        # A field longer than csv.field_size_limit: this is not the delimiter.
        return []
