"""What comes after a mapped step gets its items' results, in order, and the errors among them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from children.sanitize import one_line
from parent.models import Item, Step, StepState
from parent.store.large_results import read_rows

__all__ = ["ItemResult", "MappedResults"]

BATCH = 500
"""Items that are read at a time."""
COLUMNS = ("step_id", "index", "key", "state", "error", "result", "result_size")


@dataclass(frozen=True, slots=True)
class ItemResult:
    """How one item has ended: with a `result`, or with an `error`; skipped ones have neither."""

    index: int
    key: str
    state: str
    result: Any
    error: str | None

    @property
    def ok(self) -> bool:
        return self.state == StepState.OK


class MappedResults:
    """The items of a mapped step, read from the database as they are iterated over, in order.

    So it takes little memory, however many there are. `list(...)` has them all; `ok()` are only
    the results of those that are OK, and `failed()` the others.
    """

    def __init__(self, step: Step) -> None:
        self._step = step

    @property
    def counts(self) -> dict[str, int]:
        """How many items are in which state."""
        return dict(self._step.items or {})

    def __len__(self) -> int:
        return self._step.item_total

    def __repr__(self) -> str:
        return f"<the results of {len(self)} items of {self._step.name}>"

    def __iter__(self) -> Iterator[ItemResult]:
        return self._read()

    def ok(self) -> Iterator[Any]:
        """The results of the items that are OK."""
        return (item.result for item in self._read(state=StepState.OK))

    def failed(self) -> Iterator[ItemResult]:
        """The items that failed, were skipped or cancelled."""
        return (item for item in self._read() if not item.ok)

    def _read(self, **which: Any) -> Iterator[ItemResult]:
        last = -1
        while True:
            rows = Item.objects.filter(step=self._step.pk, index__gt=last, **which)
            batch = read_rows(rows.order_by("index").only(*COLUMNS)[:BATCH])
            for item in batch:
                # A large result is read here, one at a time.
                error = None if item.error is None else one_line(item.error)
                yield ItemResult(item.index, item.key, item.state, item.result, error)
                del item.result
            if len(batch) < BATCH:
                return
            last = batch[-1].index
