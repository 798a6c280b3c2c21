"""Opens the uploaded file."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.files import File
from django.core.files.storage import default_storage

from examples.csv_profile.errors import UnusableFile

__all__ = ["stored_file"]


@contextmanager
def stored_file(name: str) -> "Iterator[File[bytes]]":
    """Open a file of the default storage for reading bytes.

    Raises:
        UnusableFile: there is no file with that name.
    """
    try:
        file = default_storage.open(name, "rb")
    except FileNotFoundError as exc:
        raise UnusableFile(
            f"the stored file {name!r} is gone; start the workflow again with the file"
        ) from exc
    with file:
        yield file
