"""Which character stands between the cells."""

import codecs
import csv
import io
import re
from itertools import islice

from examples.csv_profile.errors import UnusableFile

__all__ = ["DELIMITERS", "character", "choose_delimiter", "said_delimiter", "sample_text"]

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
"""By the names that people and results use."""

SAMPLE_ROWS = 200

# A tab stands there itself or as people type it. A program that took the line for a row may have
# quoted it, or filled it up to the width of the others.
SEPARATOR_LINE = re.compile(
    r"""(?i:"?sep=)(?P<said>\t|\\t|[^\s\w"\\])(?P=said)*"?(?P=said)* *[\r\n]*"""
)


def choose_delimiter(text: str, wanted: str = "auto") -> str:
    """The delimiter's name, or the character itself where it has none.

    It is the wanted one, or what the first line says, or what the sample's rows agree on best.

    `csv.Sniffer` counts characters, and so takes a comma in a text for a delimiter, or the
    letter "e"; reading the sample once with each delimiter honours the quotes and costs little.
    A text of one column is "comma".

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
    """The character of a delimiter that `choose_delimiter` answered."""
    return DELIMITERS.get(delimiter, delimiter)


def said_delimiter(line: str) -> str | None:
    """The character that a file's first line says is the delimiter, as Excel's `sep=;` does.

    Such a line is no part of the table. None for any other line.
    """
    match = SEPARATOR_LINE.fullmatch(line)
    if match is None:
        return None
    return "\t" if match["said"] in {"\t", "\\t"} else match["said"]


def sample_text(head: bytes, encoding: str) -> str:
    """Decode a file's first bytes as far as its last whole line.

    What cannot be decoded is left for the reading itself to complain about.
    """
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    text = codecs.getincrementaldecoder(codec)("replace").decode(head)
    whole, newline, _ = text.rpartition("\n")
    return whole + newline or text


def _agreement(text: str, delimiter: str) -> tuple[float, int]:
    """The share of rows that are as wide as the first one, and how wide that is."""
    widths = [len(row) for row in _rows(text, delimiter) if row]
    if not widths or widths[0] == 1:
        return (0.0, 1)
    return (widths.count(widths[0]) / len(widths), widths[0])


def _rows(text: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        return list(islice(reader, SAMPLE_ROWS))
    except csv.Error:
        # A field beyond csv.field_size_limit: not this delimiter, or no delimiter at all.
        return []
