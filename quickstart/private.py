"""Keeps other users of the machine out of the data directory."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["make_private"]

OTHERS = stat.S_IRWXG | stat.S_IRWXO
OURS = ("db.sqlite3*", "secret_key", "up.pids", "redis-*", "valkey-*", "redis.sock", "media")
"""Our files in the directory, as patterns of names. Other files are left alone."""


def make_private(data_dir: Path) -> None:
    """Make the directory and our files in it accessible to their owner only.

    The umask makes new files private; an earlier release did not set it. Symbolic links are not
    followed, and files of other users are left alone.
    """
    _close(data_dir)
    for pattern in OURS:
        for path in data_dir.glob(pattern):
            for each in _tree(path):
                _close(each)


def _tree(path: Path) -> Iterator[Path]:
    yield path
    if path.is_symlink():
        return
    for folder, folders, files in os.walk(path):  # it follows no links
        yield from (Path(folder, name) for name in (*folders, *files))


def _close(path: Path) -> None:
    with suppress(FileNotFoundError, PermissionError):
        mode = path.lstat().st_mode
        # Leave a shared directory such as /tmp open.
        if mode & OTHERS and not (stat.S_ISLNK(mode) or mode & stat.S_ISVTX):
            path.chmod(stat.S_IMODE(mode) & ~OTHERS)
