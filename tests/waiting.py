"""Waiting for rows that other processes write: a database announces nothing, so it is asked."""

import time
from collections.abc import Callable
from typing import TypeVar

from parent.models import Run

__all__ = ["ended", "until"]

T = TypeVar("T")


def until(what: str, look: Callable[[], T | None], timeout: float = 30, every: float = 0.02) -> T:
    """Look, `every` so many seconds, until there is something to see."""
    deadline = time.monotonic() + timeout
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(every)
    return seen


def ended(run: Run, timeout: float = 60) -> Run:
    """The run, once it has ended."""

    def look() -> bool:
        run.refresh_from_db()
        return run.ended

    until(f"the end of {run}, which is {run.state}", look, timeout)
    return run
