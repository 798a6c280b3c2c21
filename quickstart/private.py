"""Keeps other users of the machine out of the data directory."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["make_private"]

OTHERS = stat.S_IRWXG | stat.S_IRWXO
OURS = ("db.sqlite3*", "secret_key", "up.pids", "redis-*", "valkey-*", "redis.sock", "media")
"""What is in it, as patterns of names. What else a user keeps there is the user's own affair."""


def make_private(data_dir: Path) -> None:
    """Take from all but its owner what they may do with the directory and with what is ours in it.

    What this process makes is private by its umask; an earlier release had none. Symbolic links
    are not followed, and what belongs to another user stays as it is.
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
    for folder, folders, files in os.walk(path):  # which follows no links
        yield from (Path(folder, name) for name in (*folders, *files))


def _close(path: Path) -> None:
    with suppress(FileNotFoundError, PermissionError):
        mode = path.lstat().st_mode
        # A directory for everybody's files, such as /tmp, is not ours to close.
        if mode & OTHERS and not (stat.S_ISLNK(mode) or mode & stat.S_ISVTX):
            path.chmod(stat.S_IMODE(mode) & ~OTHERS)
