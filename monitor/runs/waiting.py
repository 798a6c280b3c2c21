"""What a step waits for, in words for people."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from parent.definition.name_lists import join_names
from parent.messages.publish import queue_of
from parent.models import Awaits, Item, Step, StepState
from parent.runs.concurrency.who_waits import Standing
from parent.store.leases import alive

__all__ = ["PATIENCE", "Waiting", "consumed_queues", "needs_queues", "waiting_of"]

PATIENCE = timedelta(seconds=2)
"""A step that has waited in a queue for less than this is not shown to wait for a worker."""
MOST_NAMES = 3


class Waiting(NamedTuple):
    """What a step waits for, as the end of a sentence; and until when, if that is known.

    Both are empty for a step that waits for nothing, or only for a moment.
    """

    text: str = ""
    until: datetime | None = None


def waiting_of(
    step: Step | Item,
    states: Mapping[str, str],
    consumed: Collection[str] | None,
    now: datetime,
    titles: Mapping[str, str] = MappingProxyType({}),
    in_line: Sequence[Standing] = (),
) -> Waiting:
    """What this step waits for.

    Args:
        states: of the run's steps, by name.
        consumed: the queues that running workers consume; None if they were not looked up.
        titles: of the run's steps, by name; a step without one is called by its name.
        in_line: where attempts of the run stand in line.
    """
    if isinstance(step, Step) and step.state == StepState.WAITING:
        names = [name for name in step.after if states.get(name) not in (None, StepState.OK)]
        return Waiting(_names([titles.get(name, name) for name in names]))
    if step.state == StepState.RUNNING and step.awaits:
        until = None
        if step.run_timeout and step.queued_at is not None:
            until = step.queued_at + timedelta(seconds=step.run_timeout)
        return Waiting(Awaits(step.awaits).label, until)
    if step.state != StepState.QUEUED or step.queued_at is None:
        return Waiting()
    if step.queued_at > now:
        return Waiting("the next try" if step.attempt > 1 else "its start", step.queued_at)
    if step.is_in_line:
        mine = [each.text for each in in_line if each.task_id == step.task_id]
        return Waiting(join_names(mine) or f"a place of {join_names(step.limits or ())}")
    if consumed is None or now - step.queued_at < PATIENCE:
        return Waiting()
    queue = queue_of(step)
    if queue in consumed:
        return Waiting("a free worker")
    return Waiting(f"a worker of the queue “{queue}”: none is running")


def needs_queues(steps: Iterable[tuple[str, datetime | None]], now: datetime) -> bool:
    """Whether to look up which queues are consumed, for steps given as state and `queued_at`."""
    return any(
        state == StepState.QUEUED and queued_at is not None and now - queued_at >= PATIENCE
        for state, queued_at in steps
    )


def consumed_queues() -> frozenset[str]:
    """The queues that running workers consume. One statement."""
    found = alive().values_list("queues", flat=True)
    return frozenset(queue for queues in found for queue in queues)


def _names(names: list[str]) -> str:
    more = len(names) - MOST_NAMES
    if more <= 1:
        return join_names(names) if names else ""
    return f"{', '.join(names[:MOST_NAMES])} and {more} more steps"
