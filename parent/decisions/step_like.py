"""The fields of a step that decisions need, and what its state means for its run."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from parent.models import Awaits, StepState

__all__ = [
    "ACTIVE",
    "FAILED",
    "ShownLike",
    "StepLike",
    "cancels_run",
    "dependents",
    "fails_run",
    "holds_run",
]

ACTIVE = frozenset({StepState.QUEUED, StepState.RUNNING})
FAILED = frozenset({StepState.ERROR, StepState.CANCELLED})


class ShownLike(Protocol):
    """The fields of a step that the run's meta shows."""

    name: str
    state: str
    iteration: int
    total: int | None
    message: str
    error: str | None
    optional: bool
    awaits: str
    fed_by: str


class StepLike(ShownLike, Protocol):
    """The fields of a step that a plan and a summary need."""

    after: Sequence[str]
    when: str
    unless: Sequence[str] | None
    unneeded: bool
    weight: float
    completion: float
    started_at: datetime | None
    reported_at: datetime | None
    finished_at: datetime | None


def holds_run(step: StepLike) -> bool:
    """Whether the run goes on because of this step: it is active, and no signal."""
    return step.state in ACTIVE and step.awaits != Awaits.SIGNAL


def dependents(steps: Iterable[StepLike]) -> defaultdict[str, list[str]]:
    """For each step's name, the names of the steps that depend on it directly."""
    after: defaultdict[str, list[str]] = defaultdict(list)
    for step in steps:
        for name in step.after:
            after[name].append(step.name)
    return after


def cancels_run(step: ShownLike) -> bool:
    """Whether a run that is to be cancelled ends so because of this step."""
    return step.state == StepState.CANCELLED or fails_run(step)


def fails_run(step: ShownLike) -> bool:
    """Whether this step fails its run."""
    return step.state in FAILED and not step.optional
