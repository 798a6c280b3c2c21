"""Reads the lines of a text file in pieces, so that memory does not grow with the file."""

import codecs
import io
import re
from collections.abc import Callable, Iterator
from typing import Protocol

from examples.csv_profile.errors import UnusableFile

__all__ = ["CHUNK", "Lines", "Readable", "line_breaks"]

CHUNK = 64 * 1024
"""Bytes read at once."""

MAX_LINE = 1024 * 1024
"""The most characters in a line. A longer line is not a table, and would fill the memory."""


class Readable(Protocol):
    """A binary file at its start."""

    def read(self, size: int, /) -> bytes: ...


class Lines:
    """Iterates over the lines of a file with their endings, as `csv.reader` needs them.

    Args:
        file: read once, in pieces.
        encoding: a codec's name.
        on_read: called with the number of bytes whose lines have been returned, before each
            read, and at the end.

    Raises while iterating:
        UnusableFile: bytes that are not valid in `encoding`, a NUL, or a line that is too long.
    """

    def __init__(
        self,
        file: Readable,
        encoding: str,
        on_read: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.position = 0
        """How many bytes have all their lines returned."""
        self._file = file
        self._encoding = encoding
        self._on_read = on_read
        # A byte order mark at the start is not part of the first column's name.
        codec = "utf-8-sig" if encoding == "utf-8" else encoding
        self._decoder = codecs.getincrementaldecoder(codec)()
        self._line = 1
        self._rest = ""

    def __iter__(self) -> Iterator[str]:
        while True:
            self._on_read(self.position)
            chunk = self._file.read(CHUNK)
            # newline="" splits at \n, \r\n and \r and keeps them. str.splitlines also splits at
            # form feeds and similar characters, which a cell may contain.
            lines = list(io.StringIO(self._rest + self._decode(chunk), newline=""))
            self._rest = self._incomplete(lines) if chunk else ""
            for line in lines:
                self._line += 1
                yield line
            self.position += len(chunk)
            if not chunk:
                return

    def _incomplete(self, lines: list[str]) -> str:
        """Hold back the last line if it may be incomplete: a \\n may follow a \\r."""
        if not lines or lines[-1].endswith("\n"):
            return ""
        if len(lines[-1]) > MAX_LINE:
            raise UnusableFile(
                f"line {self._line + len(lines) - 1:,} has more than {MAX_LINE:,} characters; "
                "is this a CSV file with one row a line?"
            )
        return lines.pop()

    def _decode(self, chunk: bytes) -> str:
        try:
            text = self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as exc:
            # The error is in this chunk together with what the decoder held back of the last one.
            byte = self.position + len(chunk) - len(exc.object) + exc.start
            line = self._line_after(exc.object[: exc.start].decode(exc.encoding, "ignore"))
            raise UnusableFile(
                f"the file is not {self._encoding} text: line {line:,} (byte {byte:,} of the "
                "file) cannot be decoded; save it as UTF-8, or start again and name its "
                "encoding, such as encoding=cp1252"
            ) from exc
        if "\0" in text:
            line = self._line_after(text[: text.index("\0")])
            raise UnusableFile(
                f"the file is binary: there is a NUL in line {line:,}; export the table as CSV"
            )
        return text

    def _line_after(self, text: str) -> int:
        """The number of the line after `text`, which comes after what was read."""
        return self._line + line_breaks(self._rest + text)


def line_breaks(text: str) -> int:
    """How many lines end in `text`."""
    return len(re.findall(r"\r\n|\r|\n", text))
