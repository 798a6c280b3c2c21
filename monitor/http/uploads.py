"""Receiving files."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import NamedTemporaryFile
from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import multipartparser

from parent.store.files import RECEIVED, receiving_folder

__all__ = ["LargeFiles", "take_any_name"]

NAMELESS = "file"
LONGEST_HEAD = 64 * 1024
"""Bytes before a file's content: a name of thousands of letters, each written as %F0%9F%98%80."""


class ReceivedFile(TemporaryUploadedFile):
    """A file that is being received, in a folder of ours, beside where it will be stored.

    So it is only renamed in the end, and what a dead process leaves is found (`parent/strays.py`).
    """

    def __init__(self, name: str, *told: Any) -> None:
        folder = receiving_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Django's own constructor puts the client's suffix into the name, however long it is.
        file = NamedTemporaryFile(suffix=RECEIVED, dir=folder)  # noqa: SIM115 - closed with this
        UploadedFile.__init__(self, file, name, *told)


class LargeFiles(TemporaryFileUploadHandler):
    """Writes files into our folder while they come."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super(TemporaryFileUploadHandler, self).new_file(*args, **kwargs)
        told = (self.content_type, 0, self.charset, self.content_type_extra)
        self.file = ReceivedFile(str(self.file_name), *told)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        with self._gone_on_error():
            super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size: int) -> "UploadedFile[Any] | None":
        with self._gone_on_error():
            return super().file_complete(file_size)

    @contextmanager
    def _gone_on_error(self) -> Iterator[None]:
        """Delete a file that cannot be written; Django leaves that to the garbage collector."""
        try:
            yield
        except OSError:
            with suppress(OSError):  # what is still to be written fails again
                self.file.close()
            raise


def take_any_name() -> None:
    """Take a file whatever its name: we cut it, and make it harmless (`parent/files.py`).

    Django refuses a part whose head is longer than 1,024 bytes, and leaves a file out without a
    word whose name is "..". It offers no setting for that, and both its own views and DRF's
    parsers have it from here.
    """
    parser = multipartparser.MultiPartParser
    cleaned = parser.sanitize_file_name

    def named(self: Any, file_name: str) -> str | None:
        # A form's field without a file has an empty name, and stays out.
        return cleaned(self, file_name) or (NAMELESS if file_name else None)

    multipartparser.MAX_TOTAL_HEADER_SIZE = LONGEST_HEAD  # type: ignore[attr-defined]
    parser.sanitize_file_name = named  # type: ignore[method-assign]
