"""Which steps of a run a retry is about, and what is refused."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from children.sanitize import clean_text
from parent.decisions.step_like import dependents, fails_run
from parent.definition.name_lists import join_names
from parent.errors import InvalidRetry
from parent.models import Awaits, Item, Step, StepState

__all__ = [
    "check_options",
    "check_takes_inputs",
    "failed",
    "is_kept",
    "item_to_retry",
    "steps_to_retry",
    "with_dependents",
]


def check_options(step: str | None, inputs: Mapping[str, Any] | None, *, skip: bool) -> None:
    """Check that the options of a retry fit one item.

    Raises:
        InvalidRetry: they do not.
    """
    if step is None:
        raise InvalidRetry("Say which step the item belongs to.")
    if inputs is not None:
        raise InvalidRetry("An item keeps the inputs that it had: leave inputs out.")
    if skip:
        raise InvalidRetry("One item cannot be skipped: leave skip out.")


def check_takes_inputs(step: Step) -> None:
    """Check that a retry can give the step other inputs.

    Raises:
        InvalidRetry: it cannot.
    """
    if step.is_mapped:
        raise InvalidRetry(f"{step.name} takes its items from `over`: leave inputs out.")
    if step.awaits:
        raise InvalidRetry(f"{step.name} has no inputs: it waits for {Awaits(step.awaits).label}.")


def steps_to_retry(steps: Sequence[Step], name: str | None, *, alone: bool) -> list[Step]:
    """The step with this name; None takes those that failed the run or were cancelled.

    Args:
        alone: only one is allowed.

    Raises:
        InvalidRetry: there is no such step, more than one, or it does not run again by itself.
    """
    if name is not None:
        chosen = [row for row in steps if row.name == name]
        if not chosen:
            known = join_names([row.name for row in steps])
            raise InvalidRetry(f"The run has no step {name!r}; its steps are: {known}.")
        fed = next((row.name for row in steps if row.fed_by == name), None)
        if fed is not None:
            raise InvalidRetry(
                f"{name} is a signal that feeds {fed}, and what came stays: retry from {fed}, and "
                "its failed items run again."
            )
        return chosen
    chosen = failed(steps)
    if alone and len(chosen) != 1:
        names = join_names([row.name for row in chosen or steps])
        raise InvalidRetry(f"Say which step is meant: {names}.")
    return chosen


def item_to_retry(step: Step, key: str, again: Sequence[Step]) -> Item:
    """The item with this key, of a step that runs `again` with others.

    Raises:
        InvalidRetry: there is none, or it does not run again by itself.
    """
    if not step.is_mapped:
        raise InvalidRetry(f"{step.name} has no items, as it is not a Map: leave the item out.")
    if earlier := {row.name for row in again} & {*step.after}:
        names = join_names(sorted(earlier))
        raise InvalidRetry(
            f"{step.name} gets new items, as {names} runs again before it: leave the item out."
        )
    if step.items is None:
        raise InvalidRetry(f"{step.name} has no items yet: leave the item out.")
    item = Item.objects.filter(step=step, key=clean_text(key)).only("step", "state", "key").first()
    if item is None:
        raise InvalidRetry(f"{step.name} has no item with the key {clean_text(key)!r}.")
    if item.state == StepState.OK:
        raise InvalidRetry(f"The item {key!r} of {step.name} is OK: its result is kept.")
    return item


def failed(steps: Sequence[Step]) -> list[Step]:
    """The steps that failed the run or were cancelled: these run again in any case."""
    return [row for row in steps if fails_run(row) or row.state == StepState.CANCELLED]


def is_kept(row: Step) -> bool:
    """Whether a retry keeps the step: it is OK, or it is optional and has failed.

    The steps after such an optional step have gone on without it.
    """
    return row.state == StepState.OK or (row.state == StepState.ERROR and row.optional)


def with_dependents(steps: Sequence[Step], roots: Iterable[Step]) -> set[str]:
    """The names of `roots` and of all steps that depend on them."""
    after = dependents(steps)
    names = {row.name for row in roots}
    reached = list(names)
    while reached:
        more = [name for name in after[reached.pop()] if name not in names]
        names.update(more)
        reached += more
    return names
