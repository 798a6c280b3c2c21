"""What a body has logged and the host has not stored yet: the first lines, and the last ones."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from children.sanitize import clean_lines

__all__ = ["LONGEST_LINE", "Batch", "Line", "LogBuffer"]

T = TypeVar("T")

LONGEST_LINE = 8_000
"""Characters; of a longer line the rest is cut off, and it says so."""
LONGEST_WORD = 500
"""Characters; a longer one may be cut off in its middle."""
PARTS = 10
"""The last lines are stored, and deleted, in at least so many parts: at least 90 % are kept."""

AT_ONCE = 50
"""So many lines are counted, and dropped, together: that costs less than one by one."""


class Line(NamedTuple):
    """One line of a log. `at` is in seconds since 1970, `level` is a number of `logging`."""

    number: int
    at: float
    level: int
    logger: str
    text: str

    @property
    def size(self) -> int:
        """Bytes of what was written, without the rest of the row."""
        text = self.text
        return len(self.logger) + len(text if text.isascii() else text.encode(errors="replace"))


_Raw: TypeAlias = tuple[float, int, str, str]
"""A line without its number. Most of a flood never become more than that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Lines to store, in parts, each by itself.

    `stale`: a range of line numbers, `(first, end)`, without `end`. Stored parts whose first line
    is in the range must be deleted: newer lines have replaced them. None: there are none.
    """

    parts: Sequence[Sequence[Line]]
    stale: tuple[int, int] | None


class _Newest(Generic[T]):
    """The newest entries that fit into so many lines and bytes; always the last one."""

    def __init__(self, most_lines: int, most_bytes: int) -> None:
        self._most = most_lines, most_bytes
        self._lines = self._bytes = 0
        self.entries: deque[tuple[T, int, int]] = deque()

    def push(self, entry: T, lines: int, size: int) -> None:
        self.entries.append((entry, lines, size))
        self._lines += lines
        self._bytes += size
        while len(self.entries) > 1 and (
            self._lines > self._most[0] or self._bytes > self._most[1]
        ):
            _, lines, size = self.entries.popleft()
            self._lines -= lines
            self._bytes -= size


class _Flood:
    """Lines of which only the newest are wanted, in chunks."""

    def __init__(self, most_lines: int, most_bytes: int) -> None:
        self._most = most_lines, most_bytes
        self._lines = self._characters = 0
        self._chunks: deque[tuple[int, Sequence[_Raw], int]] = deque()

    def push(self, number: int, chunk: Sequence[_Raw]) -> None:
        """Add these lines, the first of which has this number, and drop what is too old."""
        characters = sum(len(raw[-1]) for raw in chunk)
        self._chunks.append((number, chunk, characters))
        self._lines += len(chunk)
        self._characters += characters
        while self._is_enough_without(*self._chunks[0][1:]):
            _, oldest, characters = self._chunks.popleft()
            self._lines -= len(oldest)
            self._characters -= characters

    def _is_enough_without(self, chunk: Sequence[_Raw], characters: int) -> bool:
        lines, size = self._lines - len(chunk), self._characters - characters
        return lines >= self._most[0] or size >= self._most[1]

    def newest(self) -> list[Line]:
        """Those that fit."""
        newest = _Newest[Line](*self._most)
        for begin, chunk, _ in self._chunks:
            for number, raw in enumerate(chunk, begin):
                line = Line(number, *raw)
                newest.push(line, 1, line.size)
        return [line for line, _, _ in newest.entries]


class LogBuffer:
    """Takes the lines of one attempt, and gives them in batches to be stored.

    The first half of the limits is for the first lines. The last lines share the other half: newer
    ones replace older ones, so a flood of lines takes neither memory nor space. What fell out
    shows as a gap in the numbers.

    Args:
        most_lines: how many are kept, at least 2.
        most_bytes: how much they may take together, as UTF-8.
        level: the lowest level that is taken, a number of `logging`.
        wake: called when a line comes to an empty buffer, on the thread that has logged it.
    """

    def __init__(
        self,
        *,
        most_lines: int,
        most_bytes: int,
        level: int = logging.INFO,
        wake: Callable[[], None] | None = None,
    ) -> None:
        self.level = level
        self._places, self._room = most_lines // 2, most_bytes // 2
        self._most_last = most_lines - self._places, most_bytes - self._room
        self._wake = wake
        self._lock = threading.Lock()
        self._new: deque[_Raw] = deque()
        self._is_empty = True
        self._count = 0
        self._first: list[Line] = []
        self._last = _Flood(*self._most_last)
        self._last_begin: int | None = None
        self._stored = _Newest[int](*self._most_last)  # parts, by the number of their first line

    def add(self, at: float, level: int, logger: str, text: str) -> None:
        """Take a line. A flood of them costs little, because most are dropped as they are."""
        if len(text) > LONGEST_LINE:
            text = _cut(text)
        new = self._new
        new.append((at, level, logger, text))
        if len(new) >= AT_ONCE:
            with self._lock:
                self._sort_in()
        if self._is_empty:
            self._is_empty = False
            if self._wake is not None:
                self._wake()

    def _sort_in(self) -> None:
        """Count the new lines. Other threads may add some meanwhile, for the next time."""
        take = self._new.popleft
        new = deque([take() for _ in range(len(self._new))])
        while new and self._is_among_first(new[0]):
            self._count += 1
            self._first.append(Line(self._count, *new.popleft()))
        if new:
            self._last_begin = self._last_begin or self._count + 1
            self._last.push(self._count + 1, new)
            self._count += len(new)

    def _is_among_first(self, raw: _Raw) -> bool:
        """Whether there is still room for this line among the first ones; takes it."""
        if self._last_begin is None:
            self._places -= 1
            self._room -= Line(0, *raw).size
        return self._last_begin is None and self._places >= 0 and self._room >= 0

    def take(self) -> Batch | None:
        """The lines since the last batch; None if there are none."""
        with self._lock:
            self._is_empty = True  # before the new lines are taken: a later one wakes again
            self._sort_in()
            first = [_cleaned(line) for line in self._first]
            last = [_cleaned(line) for line in self._last.newest()]
            self._first, self._last = [], _Flood(*self._most_last)
            parts = list(_split(last, max(1, self._most_last[0] // PARTS)))
            stale = self._stale(parts)
        if first:
            parts.insert(0, first)
        return Batch(parts=parts, stale=stale) if parts else None

    def _stale(self, parts: Sequence[Sequence[Line]]) -> tuple[int, int] | None:
        """Count these among the stored ones; returns which of those parts have to go."""
        if not parts or self._last_begin is None:
            return None
        for part in parts:
            self._stored.push(part[0].number, len(part), sum(line.size for line in part))
        oldest = self._stored.entries[0][0]
        return (self._last_begin, oldest) if oldest > self._last_begin else None


def _cut(text: str) -> str:
    """The beginning of a long line."""
    kept = text[:LONGEST_LINE]
    # No part of a word: what hides secrets would not know the half of one.
    before, _, word = kept.rpartition(" ")
    if len(word) <= LONGEST_WORD:
        kept = before
    return f"{kept}… ({len(text) - len(kept):,} more characters)"


def _cleaned(line: Line) -> Line:
    return line._replace(text=clean_lines(line.text))


def _split(lines: Sequence[Line], most: int) -> Iterator[Sequence[Line]]:
    for begin in range(0, len(lines), most):
        yield lines[begin : begin + most]
