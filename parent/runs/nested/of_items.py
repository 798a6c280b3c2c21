"""The interface through which ends of runs reach the items that are child runs.

The end of such a run ends its item, which may end the step and the run around it. The code for that
imports the modules that end and open steps, and they must not import it. So `parent.apps` installs
it here.
"""

from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

from parent.store.locks import lock_names, try_lock_name

__all__ = ["ItemRuns", "install", "item_runs", "lock_opening", "try_lock_opening"]


class ItemRuns(Protocol):
    """What opens and ends the items of a `Map` over a workflow; each is a child run."""

    def open(self, step_id: int) -> None:
        """Open waiting items of this step, as many as there are free places.

        It is for after a commit, in transactions of its own. Whatever hinders it, a tick does it.
        """

    def end(self, run_id: UUID) -> bool:
        """End the item that this ended child run is; False if there is nothing to end."""


_installed: ItemRuns | None = None


def install(implementation: ItemRuns) -> None:
    """Let this process use `implementation`."""
    global _installed  # noqa: PLW0603 - one per process
    _installed = implementation


def item_runs() -> ItemRuns:
    """The implementation of this process.

    Raises:
        RuntimeError: Django's apps are not loaded.
    """
    if _installed is None:
        raise RuntimeError("The workflow engine is not loaded: call django.setup() first.")
    return _installed


def lock_opening(step_ids: Iterable[int]) -> None:
    """Let nobody open items of these steps until the present transaction ends.

    Call it before ending such a step or cancelling its run: it waits for the process that opens
    items, so all opened items are visible then. Take it after the locks of runs: a process that
    opens items holds no lock of a run.
    """
    lock_names(map(_name, step_ids))


def try_lock_opening(step_id: int) -> bool:
    """`lock_opening`, if nobody else opens items of the step; else False."""
    return try_lock_name(_name(step_id))


def _name(step_id: int) -> str:
    return f"items of the step {step_id}"
