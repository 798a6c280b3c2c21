"""The second pass over the rows: passes the cells to their columns."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import dropwhile, islice

from examples.csv_profile.columns import Column, ColumnProfile, Sizes
from examples.csv_profile.rows import Row

__all__ = ["profile_rows"]

BLOCK = 256 * 1024
"""Characters in a block. It is fast because equal cells of a block are counted together."""


def profile_rows(rows: Iterable[Row], names: Sequence[str]) -> list[ColumnProfile]:
    """The profile of each column of a table whose first row is the header.

    A row that is too short has missing values at its end; extra cells are left out.
    """
    columns = [Column(name, Sizes.shared_by(len(names))) for name in names]
    header_first = dropwhile(lambda row: not row.cells, rows)
    for block in _blocks(islice(header_first, 1, None), len(names)):
        for column, cells in zip(columns, zip(*block, strict=True), strict=True):
            column.add(cells)
    return [column.profile() for column in columns]


def _blocks(rows: Iterable[Row], width: int) -> Iterator[list[list[str]]]:
    """Rows of exactly `width` cells, in blocks of bounded size for rows of any length."""
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
