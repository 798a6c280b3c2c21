"""Waits for rows that other processes write, by polling the database."""

import time
from collections.abc import Callable
from typing import TypeVar

from parent.models import Run

__all__ = ["PATIENCE", "ended", "until"]

T = TypeVar("T")

# Seconds. Only a failing test waits as long, and a machine with much else to do is slow.
PATIENCE = 120.0

FIRST, LONGEST = 0.02, 0.1
"""Seconds between two looks. They grow, because each takes time from what is awaited."""


def until(
    what: str, look: Callable[[], T | None], timeout: float = PATIENCE, every: float = LONGEST
) -> T:
    """Look until the result is true: soon at first, and every `every` seconds in the end."""
    deadline = time.monotonic() + timeout
    pause = FIRST
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(min(pause, every))
        pause *= 1.5
    return seen


def ended(run: Run, timeout: float = PATIENCE) -> Run:
    """Wait until the run has ended, and return it."""

    def look() -> bool:
        run.refresh_from_db()
        return run.ended

    until(f"the end of {run}, which is {run.state}", look, timeout)
    return run
