"""Receives files."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import NamedTemporaryFile
from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import multipartparser

from parent.store.files import UPLOAD_SUFFIX, upload_folder

__all__ = ["LargeFiles", "take_any_name"]

NAMELESS = "file"
LONGEST_HEAD = 64 * 1024
"""Bytes of a part's head. A name of thousands of letters fits, each written as %F0%9F%98%80."""


class ReceivedFile(TemporaryUploadedFile):
    """A file that is being received, in our own folder beside the one where it will be stored.

    So storing it is a rename, and files that a dead process left are found (`parent.deletion`).
    """

    def __init__(self, name: str, *details: Any) -> None:
        folder = upload_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Django's own constructor puts the client's suffix into the name, of any length.
        file = NamedTemporaryFile(suffix=UPLOAD_SUFFIX, dir=folder)  # noqa: SIM115 - closed with this
        UploadedFile.__init__(self, file, name, *details)


class LargeFiles(TemporaryFileUploadHandler):
    """Writes files into our folder while they are received."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super(TemporaryFileUploadHandler, self).new_file(*args, **kwargs)
        details = (self.content_type, 0, self.charset, self.content_type_extra)
        self.file = ReceivedFile(str(self.file_name), *details)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        with self._gone_on_error():
            super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size: int) -> "UploadedFile[Any] | None":
        with self._gone_on_error():
            return super().file_complete(file_size)

    @contextmanager
    def _gone_on_error(self) -> Iterator[None]:
        """Delete a file that cannot be written; Django leaves that to garbage collection."""
        try:
            yield
        except OSError:
            with suppress(OSError):  # flushing the rest fails again
                self.file.close()
            raise


def take_any_name() -> None:
    """Accept a file with any name: `parent.store.files` shortens and cleans it.

    Django rejects a part whose head is longer than 1,024 bytes, and silently drops a file with the
    name "..". It has no setting for that. Both Django's views and DRF's parsers use this parser.
    """
    parser = multipartparser.MultiPartParser
    cleaned = parser.sanitize_file_name

    def named(self: Any, file_name: str) -> str | None:
        # A file field that was left empty has an empty name, and is dropped.
        return cleaned(self, file_name) or (NAMELESS if file_name else None)

    multipartparser.MAX_TOTAL_HEADER_SIZE = LONGEST_HEAD  # type: ignore[attr-defined]
    parser.sanitize_file_name = named  # type: ignore[method-assign]
