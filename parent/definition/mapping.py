"""What an author declares to run one child over many items: `Map`."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from parent.decisions.mapping import tolerate_problem
from parent.definition.workflow import RunData, Step

__all__ = ["Map", "map_problems"]

LARGEST_CHUNK = 10_000
LARGEST_ACTIVE = 2**31 - 1
"""What the column of the step's row can hold."""
LONGEST_TOLERATE = 20  # characters, there


@dataclass(frozen=True, kw_only=True)
class Map(Step):
    """The same child over many items; each has its own attempts, retries, error and result.

    Its task may also be a workflow: each item is a run of it then, inside of this run, with the
    item as its parameters.

    What `Step` says of retries and of the timeouts holds for each item.

    Args:
        over: returns the items when the step opens: a list of JSON values, at most
            `WORKFLOW_MAP_LIMIT`. Each is the child's keyword arguments, a dict, or its one
            argument. Like `Step.inputs` it must only read, and be fast. Or a `Signal`: each one
            that comes is an item, with its values as keyword arguments, until it is closed.
        key: what an item is called in errors and on the page: the name of one of its inputs, or a
            function of the item. Keys are unique. None takes the item's index.
        max_active: how many items may run at a time, in all workers together: at most 1,000, which
            None means too.
        chunk: how many items one message carries. One process works through them, one after
            another; each counts by itself.
        tolerate: how many items may fail, a number or a share such as `"5%"`. When more have
            failed, no further item starts, and the step is an ERROR. Over a signal, a number.
    """

    over: Callable[[RunData], Iterable[Any]] | Step | None = None
    key: str | Callable[[Any], Any] | None = None
    max_active: int | None = None
    chunk: int = 1
    tolerate: int | str = 0

    @property
    def gets_params(self) -> bool:
        """Never: its items are the arguments."""
        return False

    @property
    def reader(self) -> tuple[str, Callable[[RunData], Any] | None]:
        """What it takes from the run, in a word, and the author's function that reads it."""
        return "items", None if isinstance(self.over, Step) else self.over

    @property
    def fed_by(self) -> str:
        """The name of the signal whose arrivals are its items; empty if `over` is none."""
        over = self.over
        return over.label if isinstance(over, Step) and over.awaits == "signal" else ""


def map_problems(step: Step) -> Iterator[tuple[str, str]]:
    """What is wrong with a declared `Map`, each with a hint. Of any other step nothing is."""
    if not isinstance(step, Map):
        return
    what = f"step {step.label!r}"
    a_class = isinstance(step.over, type) and issubclass(step.over, Step)
    if a_class or not (step.fed_by or callable(step.over)):
        yield (
            f"{what} has over={step.over!r}",
            "Give a function, over=lambda run: [...], or a Signal.",
        )
    if step.fed_by and isinstance(step.tolerate, str) and "%" in step.tolerate:
        yield (
            f"{what} is a Map over a signal with tolerate={step.tolerate!r}, a share of a number "
            "that nobody knows before the signal is closed",
            "Give a number of items, such as 3.",
        )
    if step.inputs is not None:
        yield (
            f"{what} is a Map with `inputs`",
            "Leave `inputs` out: the items that `over` returns are the inputs.",
        )
    if not (step.key is None or callable(step.key) or (isinstance(step.key, str) and step.key)):
        yield f"{what} has key={step.key!r}", "Give the name of an input, or a function of an item."
    if step.max_active is not None and not (
        _is_count(step.max_active) and step.max_active <= LARGEST_ACTIVE
    ):
        yield (
            f"{what} has max_active={step.max_active!r}",
            f"Give a whole number from 1 to {LARGEST_ACTIVE:,}, or None.",
        )
    if not (_is_count(step.chunk) and step.chunk <= LARGEST_CHUNK):
        yield (
            f"{what} has chunk={step.chunk!r}",
            f"Give a whole number from 1 to {LARGEST_CHUNK:,}.",
        )
    if problem := tolerate_problem(step.tolerate):
        yield f"{what} has tolerate={step.tolerate!r}", f"{problem[0].upper()}{problem[1:]}."
    elif len(str(step.tolerate)) > LONGEST_TOLERATE:
        yield (
            f"{what} has a tolerate of {len(str(step.tolerate))} characters",
            f"Write it in at most {LONGEST_TOLERATE}.",
        )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
