"""Files in a run's parameters: they are stored with the run and deleted with it."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePath, PurePosixPath
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils.text import get_valid_filename
from rest_framework.fields import FileField, ListField
from rest_framework.serializers import BaseSerializer

__all__ = [
    "FOLDER",
    "UPLOAD_SUFFIX",
    "delete_files",
    "has_files_inside",
    "is_file_list",
    "place_problem",
    "store_files",
    "takes_files",
    "upload_folder",
]

FOLDER = "runs/"
UPLOAD_SUFFIX = ".upload"
"""The suffix of a file that a web process is still receiving."""
MAX_STEM, MAX_SUFFIX = 160, 40  # bytes; file names have at most 255, and a storage may append some


def store_files(values: Mapping[str, Any], run_id: UUID) -> tuple[dict[str, Any], list[str]]:
    """Store every file in `values` in the default storage.

    Returns:
        The values, with each file replaced by its storage name, in lists of files too; and these
        names.
    """
    stored, names = dict(values), []
    folder = f"{FOLDER}{run_id}/"

    def store(key: str, file: "File[Any]") -> str:
        names.append(default_storage.save(folder + safe_name(file, key), file))
        return names[-1]

    try:
        for key, value in values.items():
            if isinstance(value, File):
                stored[key] = store(key, value)
            elif isinstance(value, list):
                stored[key] = [store(key, v) if isinstance(v, File) else v for v in value]
    except BaseException:
        # No row will refer to these files. The one that failed may be stored in part.
        with suppress(Exception):
            names = [folder + name for name in default_storage.listdir(folder)[1]]
        delete_files(names)
        raise
    return stored, names


def upload_folder() -> Path:
    """Where files are while they are received: on the file system on which they are stored."""
    return Path(settings.MEDIA_ROOT, "uploading")


def place_problem() -> tuple[str, str] | None:
    """Why this process cannot store files so that others find them, and what to do about it.

    Only folders are looked at: what another storage allows is known when it is used.
    """
    if not isinstance(default_storage, FileSystemStorage):
        return None
    place = os.fspath(default_storage.base_location)
    if not os.path.isabs(place):
        return (
            f"MEDIA_ROOT = {place!r} is another folder for each process that starts elsewhere",
            'Write the whole path, in settings for example BASE_DIR / "media". Web processes and '
            "workers share it.",
        )
    folder = Path(place, FOLDER)
    there = next(each for each in (folder, *folder.parents) if os.path.exists(each))
    effective = os.access in os.supports_effective_ids
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK, effective_ids=effective):
        return None
    return (
        f"nothing can be written to {there}, with MEDIA_ROOT = {place!r}",
        "Is MEDIA_ROOT right, mounted, and writable for this user? Web processes and workers run "
        "as one.",
    )


def safe_name(file: "File[Any]", otherwise: str) -> str:
    """The file's name without its path, which is the client's, and without unsafe characters.

    Args:
        otherwise: the name, if nothing is left of the file's own.
    """
    name = PurePath((file.name or "").replace("\\", "/"))
    try:
        return get_valid_filename(_cut(name.stem, MAX_STEM) + _cut(name.suffix, MAX_SUFFIX))
    except SuspiciousFileOperation:
        return otherwise


def _cut(text: str, size: int) -> str:
    return text.encode("utf-8", "ignore")[:size].decode("utf-8", "ignore")


def delete_files(names: Iterable[str]) -> None:
    """Delete stored files and their run's folder. A file that does not exist is not an error."""
    folders = set()
    for name in names:
        default_storage.delete(name)
        if name.startswith(FOLDER):
            folders.add(str(PurePosixPath(name).parent))
    for folder in folders:
        # Some storages have no folders, and a folder may not be empty; the errors differ.
        with suppress(Exception):
            default_storage.delete(folder)


def is_file_list(field: object) -> bool:
    """Whether the field takes a list of files: `ListField(child=FileField())`."""
    return isinstance(field, ListField) and isinstance(field.child, FileField)


def takes_files(field: object) -> bool:
    """Whether the field takes a file or a list of files, which `store_files` stores."""
    return isinstance(field, FileField) or is_file_list(field)


def has_files_inside(field: object) -> bool:
    """Whether the field has files nested in it, which `store_files` does not store."""
    if takes_files(field):
        return False
    parts = list(getattr(field, "fields", {}).values()) if isinstance(field, BaseSerializer) else []
    parts += [field.child] if hasattr(field, "child") else []
    return any(takes_files(part) or has_files_inside(part) for part in parts)
