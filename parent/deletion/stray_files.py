"""Files without a run: their web process died between storing them and the commit.

And those that it was still receiving. A start takes seconds, so what is a day old is of none that
is under way. Only what is named as a run's folder, or as a file that is being
received, is looked at; no symbolic link is followed.
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
from parent.store.files import FOLDER, RECEIVED, receiving_folder
from parent.store.outage import OUTAGE

__all__ = ["delete_strays", "delete_strays_quietly", "find_strays"]

logger = get_logger(__name__)

AGE = timedelta(days=1)
BATCH = 500


def find_strays() -> Iterator[str]:
    """Folders in the default storage and paths of unfinished uploads.

    Raises: whatever the storage raises when it cannot be read.
    """
    before = clock.now() - AGE
    for folder in _folders_without_run():
        with suppress(FileNotFoundError):  # somebody has just deleted it
            if all(_modified(name) < before for name in _youngest(folder)):
                yield folder
    yield from map(str, _unfinished_uploads(before))


def delete_strays(at_most: int | None = None) -> int:
    """Delete what `find_strays` finds; how many."""
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


def delete_strays_quietly(at_most: int) -> None:
    """The same for a tick, to which a storage that is away is no error."""
    try:
        delete_strays(at_most)
    except OUTAGE:
        raise
    except Exception as exc:  # what a storage raises is its own affair
        logger.warning("files without a run are not looked for: %s", exc)


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
    except NotImplementedError:  # no folder of this machine
        return False


def _youngest(folder: str) -> Iterable[str]:
    """What tells how old it is: its files, or where it has none the folder itself."""
    return [name for name in _inside(folder) if not _is_link(name)] or [folder]


def _inside(folder: str) -> Iterator[str]:
    """The names of all files and links in it."""
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
        with suppress(Exception):  # where the storage has folders
            default_storage.delete(name)


def _parents(name: str, folder: str) -> Iterator[str]:
    """The folders between the two, `folder` included."""
    while len(name) > len(folder):
        name = name.rpartition("/")[0]
        yield name


def _unfinished_uploads(before: datetime) -> Iterator[Path]:
    """Those in our own folder of uploads."""
    folder = receiving_folder()
    if folder.is_symlink():
        return
    for path in folder.glob(f"*{RECEIVED}"):
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime < before.timestamp():
                yield path
