"""Files among a run's parameters: stored with it, deleted with it."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any
from uuid import UUID

from django.core.files import File
from django.core.files.storage import default_storage

__all__ = ["delete_files", "store_files"]


def store_files(values: Mapping[str, Any], run_id: UUID) -> tuple[dict[str, Any], list[str]]:
    """Put every file among `values` into the default storage.

    Returns:
        The values with each file replaced by its storage name, and those names.
    """
    stored, names = dict(values), []
    for key, value in values.items():
        if isinstance(value, File):
            # The last part of the name only: a path in it is the client's, not ours.
            name = PurePath((value.name or key).replace("\\", "/")).name or key
            stored[key] = default_storage.save(f"runs/{run_id}/{name}", value)
            names.append(stored[key])
    return stored, names


def delete_files(names: Iterable[str]) -> None:
    """Delete stored files; one that is gone already is no error."""
    for name in names:
        default_storage.delete(name)
