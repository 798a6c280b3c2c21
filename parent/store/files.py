"""Files among a run's parameters: stored with it, deleted with it."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePath, PurePosixPath
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import default_storage
from django.utils.text import get_valid_filename
from rest_framework.fields import FileField, ListField
from rest_framework.serializers import BaseSerializer

__all__ = [
    "FOLDER",
    "RECEIVED",
    "delete_files",
    "has_files_inside",
    "is_file_list",
    "receiving_folder",
    "store_files",
    "takes_files",
]

FOLDER = "runs/"
RECEIVED = ".upload"
"""How the name of a file ends that is being received."""
MAX_STEM, MAX_SUFFIX = 160, 40  # bytes; file systems take 255, and a storage may add some


def store_files(values: Mapping[str, Any], run_id: UUID) -> tuple[dict[str, Any], list[str]]:
    """Put every file among `values` into the default storage.

    Returns:
        The values with each file, in lists of files too, replaced by its storage name, and
        those names.
    """
    stored, names = dict(values), []
    folder = f"{FOLDER}{run_id}/"

    def store(key: str, file: "File[Any]") -> str:
        names.append(default_storage.save(folder + bare_name(file, key), file))
        return names[-1]

    try:
        for key, value in values.items():
            if isinstance(value, File):
                stored[key] = store(key, value)
            elif isinstance(value, list):
                stored[key] = [store(key, v) if isinstance(v, File) else v for v in value]
    except BaseException:
        # No row will ever name them; and of the one that failed there may be a part.
        with suppress(Exception):
            names = [folder + name for name in default_storage.listdir(folder)[1]]
        delete_files(names)
        raise
    return stored, names


def receiving_folder() -> Path:
    """Where files are while they are received: beside where they are stored."""
    return Path(settings.MEDIA_ROOT, "uploading")


def bare_name(file: "File[Any]", otherwise: str) -> str:
    """The last part of a file's name, of harmless characters: a path in it is the client's."""
    name = PurePath((file.name or "").replace("\\", "/"))
    try:
        return get_valid_filename(_cut(name.stem, MAX_STEM) + _cut(name.suffix, MAX_SUFFIX))
    except SuspiciousFileOperation:
        return otherwise


def _cut(text: str, size: int) -> str:
    return text.encode("utf-8", "ignore")[:size].decode("utf-8", "ignore")


def delete_files(names: Iterable[str]) -> None:
    """Delete stored files, and their run's folder; one that is gone already is no error."""
    folders = set()
    for name in names:
        default_storage.delete(name)
        if name.startswith(FOLDER):
            folders.add(str(PurePosixPath(name).parent))
    for folder in folders:
        # Where the storage has folders, and this one is empty; what it raises is its own affair.
        with suppress(Exception):
            default_storage.delete(folder)


def is_file_list(field: object) -> bool:
    """Whether the field takes any number of files: `ListField(child=FileField())`."""
    return isinstance(field, ListField) and isinstance(field.child, FileField)


def takes_files(field: object) -> bool:
    """Whether files are stored from what this field takes."""
    return isinstance(field, FileField) or is_file_list(field)


def has_files_inside(field: object) -> bool:
    """Whether a file lies so deep in the field that none is stored."""
    if takes_files(field):
        return False
    parts = list(getattr(field, "fields", {}).values()) if isinstance(field, BaseSerializer) else []
    parts += [field.child] if hasattr(field, "child") else []
    return any(takes_files(part) or has_files_inside(part) for part in parts)
