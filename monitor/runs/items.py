"""The items of a mapped step, as the API shows them."""

from typing import Any

from children.sanitize import one_line
from parent.models import Item, StepState

__all__ = ["ITEM_STATES", "READ", "item_row", "state_named", "word_of"]

WORDS = {
    StepState.WAITING: "waiting",
    StepState.QUEUED: "queued",
    StepState.RUNNING: "running",
    StepState.OK: "ok",
    StepState.ERROR: "failed",
    StepState.SKIPPED: "skipped",
    StepState.CANCELLED: "cancelled",
}
ITEM_STATES = list(WORDS.values())
"""The states of items, in the words of the counters."""

COLUMNS = (
    *("index", "key", "task_id", "iteration", "total", "completion", "message", "error"),
    *("attempt", "queued_at", "started_at", "finished_at"),
)
READ = (*COLUMNS, "state", "child_run_id")
"""What `item_row` reads of an item."""


def state_named(word: str) -> StepState:
    """The state that the counters call so."""
    return next(state for state, name in WORDS.items() if name == word)


def word_of(item: Item) -> str:
    """The item's state as the counters call it."""
    return WORDS[StepState(item.state)]


def item_row(item: Item) -> dict[str, Any]:
    """An item in a page. Times are datetimes."""
    return {
        **{name: getattr(item, name) for name in COLUMNS},
        "error": None if item.error is None else one_line(item.error),
        "state": word_of(item),
        "run_id": None if item.child_run_id is None else str(item.child_run_id),
    }
