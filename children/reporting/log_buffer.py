"""What a body has logged and the host has not stored yet: the first lines, and the last ones."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from children.sanitize import clean_lines

__all__ = ["LONGEST_LINE", "Batch", "Line", "LogBuffer"]

T = TypeVar("T")

LONGEST_LINE = 8_000
"""Characters; of a longer line the rest is cut off, and it says so."""
PARTS = 10
"""The last lines are stored, and deleted, in at least so many parts: at least 90 % are kept."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Lines to store, in parts, each by itself.

    `stale`: parts that were stored before are to be deleted if their first line's number is from
    the first of these up to but without the second: newer lines have taken their place.
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
        self._count = 0
        self._first: list[Line] = []
        self._last = _Newest[Line](*self._most_last)
        self._last_begin: int | None = None
        self._stored = _Newest[int](*self._most_last)  # parts, by the number of their first line

    def add(self, at: float, level: int, logger: str, text: str) -> None:
        """Take a line. A flood of them costs little, because most are dropped as they are."""
        if len(text) > LONGEST_LINE:
            text = f"{text[:LONGEST_LINE]}… ({len(text) - LONGEST_LINE:,} more characters)"
        with self._lock:
            was_empty = not (self._first or self._last.entries)
            self._count += 1
            line = Line(self._count, at, level, logger, text)
            self._put(line, line.size)
        if was_empty and self._wake is not None:
            self._wake()

    def _put(self, line: Line, size: int) -> None:
        if self._last_begin is None:
            self._places, self._room = self._places - 1, self._room - size
            if self._places >= 0 and self._room >= 0:
                self._first.append(line)
                return
            self._last_begin = line.number
        self._last.push(line, 1, size)

    def take(self) -> Batch | None:
        """The lines since the last batch; None if there are none."""
        with self._lock:
            first = [_cleaned(line) for line in self._first]
            last = [_cleaned(line) for line, _, _ in self._last.entries]
            self._first, self._last = [], _Newest(*self._most_last)
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


def _cleaned(line: Line) -> Line:
    return line._replace(text=clean_lines(line.text))


def _split(lines: Sequence[Line], most: int) -> Iterator[Sequence[Line]]:
    for begin in range(0, len(lines), most):
        yield lines[begin : begin + most]
