"""Stray files: files without a run, and unfinished uploads.

Their web process died while it received them, or between storing them and the commit. A start takes
seconds, so files that are a day old do not belong to one in progress. Only folders named like a
run's and files named like an upload are considered; symbolic links are not followed.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from celery.utils.log import get_logger
from django.core.files.storage import default_storage

from parent.models import Run
from parent.store import clock
from parent.store.files import FOLDER, UPLOAD_SUFFIX, upload_folder
from parent.store.outage import OUTAGE

__all__ = ["delete_strays", "find_strays", "try_delete_strays"]

logger = get_logger(__name__)

AGE = timedelta(days=1)
BATCH = 500


def find_strays() -> Iterator[str]:
    """Folders in the default storage without a run, and the paths of unfinished uploads.

    Raises: what the storage raises if it cannot be read.
    """
    before = clock.now() - AGE
    for folder in _folders_without_run():
        with suppress(FileNotFoundError):  # deleted meanwhile
            if all(_modified(name) < before for name in _dated_paths(folder)):
                yield folder
    yield from map(str, _unfinished_uploads(before))


def delete_strays(at_most: int | None = None) -> int:
    """Delete what `find_strays` finds; returns how many."""
    deleted = 0
    for stray in find_strays():
        if deleted == at_most:
            break
        if stray.startswith(FOLDER):
            _delete(stray)
        else:
            Path(stray).unlink(missing_ok=True)
        deleted += 1
    return deleted


def try_delete_strays(at_most: int) -> None:
    """The same for a tick: log an error of the storage instead of raising it."""
    try:
        delete_strays(at_most)
    except OUTAGE:
        raise
    except Exception as exc:  # the type depends on the storage
        logger.warning("cannot look for files without a run: %s", exc)


def _folders_without_run() -> Iterator[str]:
    try:
        names, _ = default_storage.listdir(FOLDER)
    except FileNotFoundError:
        return
    runs = {name: UUID(name) for name in names if _is_run_id(name) and not _is_link(FOLDER + name)}
    ids = sorted(runs.values())
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        known = set(Run.objects.filter(pk__in=batch).values_list("pk", flat=True))
        yield from (f"{FOLDER}{id}" for id in batch if id not in known)


def _is_run_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def _is_link(name: str) -> bool:
    try:
        return os.path.islink(default_storage.path(name))
    except NotImplementedError:  # the storage has no local paths
        return False


def _dated_paths(folder: str) -> Iterable[str]:
    """The paths whose times say how old the folder is: its files, or without any the folder."""
    return [name for name in _inside(folder) if not _is_link(name)] or [folder]


def _inside(folder: str) -> Iterator[str]:
    """The names of all files and links in the folder and its subfolders."""
    folders, files = default_storage.listdir(folder)
    yield from (f"{folder}/{name}" for name in files)
    for name in folders:
        path = f"{folder}/{name}"
        yield from [path] if _is_link(path) else _inside(path)


def _modified(name: str) -> datetime:
    return default_storage.get_modified_time(name)


def _delete(folder: str) -> None:
    names = list(_inside(folder))
    for name in names:
        if _is_link(name):
            os.unlink(default_storage.path(name))
        else:
            default_storage.delete(name)
    parents = {str(parent) for name in [*names, f"{folder}/"] for parent in _parents(name, folder)}
    for name in sorted(parents, key=len, reverse=True):
        with suppress(Exception):  # not every storage has folders
            default_storage.delete(name)


def _parents(name: str, folder: str) -> Iterator[str]:
    """The folders that contain `name`, up to `folder`, which is included."""
    while len(name) > len(folder):
        name = name.rpartition("/")[0]
        yield name


def _unfinished_uploads(before: datetime) -> Iterator[Path]:
    """Unfinished uploads that were last written before this time."""
    folder = upload_folder()
    if folder.is_symlink():
        return
    for path in folder.glob(f"*{UPLOAD_SUFFIX}"):
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime < before.timestamp():
                yield path
