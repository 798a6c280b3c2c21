"""The second pass over the rows: hand each column its cells."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import dropwhile, islice

from examples.csv_profile.columns import Column, ColumnProfile, Sizes
from examples.csv_profile.rows import Row

__all__ = ["profile_rows"]

BLOCK = 256 * 1024
"""Characters in a block. Counting a block's equal cells at once is what makes this fast."""


def profile_rows(rows: Iterable[Row], names: Sequence[str]) -> list[ColumnProfile]:
    """The profile of each column of a table whose first row is the header.

    A row that is too short has missing values at its end; what is too much of one is left out.
    """
    columns = [Column(name, Sizes.shared_by(len(names))) for name in names]
    header_first = dropwhile(lambda row: not row.cells, rows)
    for block in _blocks(islice(header_first, 1, None), len(names)):
        for column, cells in zip(columns, zip(*block, strict=True), strict=True):
            column.add(cells)
    return [column.profile() for column in columns]


def _blocks(rows: Iterable[Row], width: int) -> Iterator[list[list[str]]]:
    """Rows of exactly `width` cells, in blocks that are bounded however long the rows are."""
    padding = [""] * width
    block: list[list[str]] = []
    size = 0
    for _, cells in rows:
        if not cells:
            continue
        block.append(cells if len(cells) == width else (cells + padding)[:width])
        size += width + sum(map(len, cells))
        if size >= BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block
