"""What the value of a setting may be. Where it is not, a check says in words what it has to be."""

from math import isfinite
from typing import Any

__all__ = ["LARGEST_SIZE", "LONGEST_TIME", "LONGEST_WAIT", "flag_problem", "number_problem"]

LONGEST_TIME = 1_000_000_000
"""Seconds, some thirty years: `datetime` cannot hold times much later."""
LONGEST_WAIT = 2_000_000
"""Seconds that a socket can wait, some three weeks."""
LARGEST_SIZE = 1_000_000_000_000_000
"""Bytes, lines, items: databases count further, but a float is no longer exact."""


def number_problem(value: Any, *, least: int = 0, most: int, whole: bool = False) -> str | None:
    """Why `value` is not a number from `least` to `most`; None if it is one."""
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (isinstance(value, int) or isfinite(value))
        and least <= value <= most
        and not (whole and value != int(value))
    ):
        return None
    return f"is not a {'whole ' if whole else ''}number from {least} to {most:,}"


def flag_problem(value: Any) -> str | None:
    """Why `value` is neither True nor False: a text is true, also "off"; None if it is one."""
    return None if value is None or value in (True, False) else "is neither True nor False"
