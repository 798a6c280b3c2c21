"""The steps of a run for its page: a few as they are, many grouped by state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monitor.texts.status_words import state_word

__all__ = ["FEW", "MOST", "StepGroup", "step_groups"]

FEW = 10
"""So many steps are shown in order; more are grouped. `task-progress.js` has the same number."""
MOST = 50
"""The most steps of a group on the page, unless all are asked for."""
ORDER = ("failed", "running", "cancelling", "queued", "waiting", "done", "cancelled", "skipped")
"""What needs attention comes first."""
OPEN = ORDER[:3]


@dataclass(frozen=True, kw_only=True, slots=True)
class StepGroup:
    """Steps in one state. `more`: how many of them are left out of `steps`."""

    word: str
    count: int
    steps: Sequence[dict[str, Any]]

    @property
    def more(self) -> int:
        return self.count - len(self.steps)

    @property
    def is_open(self) -> bool:
        return self.word in OPEN


def step_groups(steps: Sequence[dict[str, Any]], *, most: int | None = MOST) -> list[StepGroup]:
    """The groups of a status's steps; none if there are few steps.

    Args:
        most: the most steps of each group; None for all.
    """
    if len(steps) <= FEW:
        return []
    groups: dict[str, list[dict[str, Any]]] = {word: [] for word in ORDER}
    for step in steps:
        word, *_ = state_word(step).split(",")  # one that is "failed, optional" has failed
        groups[word].append(step)
    return [
        StepGroup(word=word, count=len(found), steps=found[:most])
        for word, found in groups.items()
        if found
    ]
