"""The columns' names, made usable."""

from collections.abc import Sequence
from itertools import count

from examples.csv_profile.errors import UnusableFile

__all__ = ["MAX_COLUMNS", "MAX_NAME", "name_columns"]

MAX_COLUMNS = 1_000
MAX_NAME = 100
"""Characters kept of a column's name."""


def name_columns(cells: Sequence[str]) -> tuple[list[str], list[str]]:
    """A name for each column, unique and not empty, and warnings about those that were changed.

    Raises:
        UnusableFile: there are more than `MAX_COLUMNS`.
    """
    if len(cells) > MAX_COLUMNS:
        raise UnusableFile(
            f"the header has {len(cells):,} columns and at most {MAX_COLUMNS:,} are profiled; "
            "split the file, or name its delimiter if that was recognised wrongly"
        )
    names: list[str] = []
    warnings: list[str] = []
    taken: set[str] = set()
    for number, cell in enumerate(cells, 1):
        wanted = " ".join(cell.split())[:MAX_NAME]
        name = _free(wanted or f"column {number}", taken)
        if not wanted:
            warnings.append(f"Column {number} has no name; it is called “{name}”.")
        elif name != wanted:
            warnings.append(f"Column {number} is a second “{wanted}”; it is called “{name}”.")
        taken.add(name)
        names.append(name)
    return names, warnings


def _free(wanted: str, taken: set[str]) -> str:
    """`wanted`; if it is taken, with the first free number after it."""
    if wanted not in taken:
        return wanted
    return next(name for n in count(2) if (name := f"{wanted} ({n})") not in taken)
