"""Mapped steps on the pages: how many items are in which state, and lists of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from monitor.runs.items import state_named, word_of
from monitor.runs.titles import titled_error
from parent.definition.parent_task import NAME_PREFIX
from parent.models import Item, Step, StepState

__all__ = [
    "PAGE_SIZE",
    "ListedItem",
    "MappedStep",
    "Segment",
    "all_items",
    "failed_items",
    "has_runs",
    "mapped_steps",
    "place_of",
    "segments",
]

LENGTH = 1000
"""The bar's width in SVG units."""
THINNEST = 4
"""The least width of a segment with an item: one failed item among 10,000 is visible."""
FIRST = 5
"""Failed items of a step on the page of its run."""
PAGE_SIZE = 50
SHOWN = ("index", "key", "state", "error", "attempt", "task_id", "child_run_id")
MOST_LISTS = 10
"""Mapped steps of a run whose failed items its page lists; others have a link."""

WORDS = {
    **{"ok": "done", "running": "running", "failed": "failed", "skipped": "skipped"},
    **{"cancelled": "cancelled", "queued": "queued", "waiting": "waiting"},
}
"""What people read for each counter, in the order of the bar's segments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """The items in one state: `look` is the counter's name."""

    look: str
    word: str
    count: int
    x: float
    width: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedItem:
    """An item as the pages list it. `error` does not repeat its name, `run_id` is its child run."""

    index: int
    key: str
    word: str
    error: str
    attempt: int
    task_id: str
    run_id: UUID | None

    @property
    def is_failed(self) -> bool:
        return self.word == WORDS["failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MappedStep:
    """A mapped step of a run, once it has opened.

    Args:
        index: that of the step in its run.
        failed: the first of its failed items; empty where they are not listed.
        left: how many items a retry of the step runs; 0 if it cannot be retried by itself.
        has_runs: each item is a child run.
    """

    index: int
    name: str
    title: str
    total: int
    segments: Sequence[Segment]
    failed_count: int
    failed: Sequence[ListedItem] = field(default=())
    left: int = 0
    has_runs: bool = False

    @property
    def is_all(self) -> bool:
        return len(self.failed) == self.failed_count


def has_runs(step: Step) -> bool:
    """Whether the items of this mapped step are child runs."""
    return step.task.startswith(NAME_PREFIX)


def mapped_steps(
    steps: Sequence[Step], titles: Mapping[str, str], workflow: str
) -> list[MappedStep]:
    """The mapped steps of a run that have opened, in order.

    It takes one statement for each that has failed items, and none for the others: the counters are
    in the steps' rows.
    """
    opened = [(step, step.items) for step in steps if step.items is not None]
    with_failed = [step for step, counts in opened if counts["failed"]][:MOST_LISTS]
    return [
        MappedStep(
            index=step.index,
            name=step.name,
            title=titles[step.name],
            total=counts["total"],
            segments=segments(counts),
            failed_count=counts["failed"],
            failed=failed_items(step, workflow, most=FIRST) if step in with_failed else (),
            # A retry of a step that is OK asks for its items again.
            left=counts["total"] - counts["ok"] if step.state != StepState.OK else 0,
            has_runs=has_runs(step),
        )
        for step, counts in opened
    ]


def segments(counts: Mapping[str, int]) -> list[Segment]:
    """The bar's segments, for the counters that are not 0. Together they are as wide as the bar."""
    present = [(name, counts[name]) for name in WORDS if counts.get(name)]
    room = LENGTH - THINNEST * len(present)
    total = sum(count for _, count in present)
    drawn, x = [], 0.0
    for name, count in present:
        width = round(THINNEST + room * count / total, 1)
        drawn.append(Segment(look=name, word=WORDS[name], count=count, x=round(x, 1), width=width))
        x += width
    return drawn


def place_of(text: str | None) -> int:
    """The index after which a page begins, from its address; -1 for the first page."""
    return int(text) if text and re.fullmatch("[0-9]{1,9}", text) else -1


def failed_items(
    step: Any, workflow: str, *, after: int = -1, most: int = PAGE_SIZE
) -> list[ListedItem]:
    """The failed items of a step after this index, in order, with titles in their errors."""
    return _listed(step, Item.objects.filter(state=state_named("failed")), workflow, after, most)


def all_items(
    step: Any, workflow: str, *, after: int = -1, most: int = PAGE_SIZE
) -> list[ListedItem]:
    """The items of a step after this index, in order, whatever their state."""
    return _listed(step, Item.objects.all(), workflow, after, most)


def _error_of(item: Item, step: str, workflow: str) -> str:
    own = titled_error(f"Error in {step}[{item.key}]: ", workflow)
    return titled_error(item.error or "", workflow).removeprefix(own)


def _listed(step: Any, items: Any, workflow: str, after: int, most: int) -> list[ListedItem]:
    rows = items.filter(step=step.pk, index__gt=after).order_by("index")
    found = rows.only("step_id", *SHOWN)
    return [
        ListedItem(
            index=item.index,
            key=item.key,
            word=WORDS[word_of(item)],
            error=_error_of(item, step.name, workflow),
            attempt=item.attempt,
            task_id=item.task_id or "",
            run_id=item.child_run_id,
        )
        for item in found[:most]
    ]
