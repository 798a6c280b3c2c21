"""A flag that tells all processes of a worker's pool that the worker is stopping."""

import mmap

__all__ = ["is_stopping", "set_stopping", "share"]

_flag: mmap.mmap | None = None
"""One byte, not 0 when the worker is stopping. Forked processes share the page."""


def share() -> None:
    """Create the flag. Call it before the pool forks its processes."""
    global _flag  # noqa: PLW0603 - one worker per process
    _flag = mmap.mmap(-1, 1)


def set_stopping() -> None:
    """Tell this process, and those that it has forked."""
    if _flag is not None:
        _flag[0] = 1


def is_stopping() -> bool:
    """Whether this worker, or the worker that this process belongs to, is stopping."""
    return _flag is not None and _flag[0] != 0
