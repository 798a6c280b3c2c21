"""A finding of the doctor."""

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["EXAMPLES", "OVERDUE", "Finding"]

EXAMPLES = 5
"""Maximum number of examples that a finding names."""
OVERDUE = timedelta(seconds=60)
"""How late a tick may be. Longer than a lease takes to expire."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What is wrong with a part, and what to do.

    Args:
        ok: it only informs: nothing is wrong yet.
    """

    part: str
    what: str
    do: str
    ok: bool = False
