"""Lists of names in error messages."""

from collections.abc import Sequence

__all__ = ["join_names"]

MOST_NAMES = 20


def join_names(names: Sequence[str], separator: str = ", ") -> str:
    """The names as one text; of more than `MOST_NAMES` only the first ones and the last."""
    if len(names) > MOST_NAMES:
        names = [*names[: MOST_NAMES - 1], "...", names[-1]]
    return separator.join(names)
