"""What the doctor finds."""

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["EXAMPLES", "OVERDUE", "Finding"]

EXAMPLES = 5
"""How many of one kind are named."""
OVERDUE = timedelta(seconds=60)
"""How late a tick may be, and more than any lease takes to lapse."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What is wrong with a part, and what to do."""

    part: str
    what: str
    do: str
