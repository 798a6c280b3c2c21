"""What workers say of themselves over the broker."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from celery import current_app

__all__ = ["Remote", "answer_as", "remote_workers"]

COMMAND = "workflow_executor"
PATIENCE = 2.0
"""Seconds in which a worker must answer: all are asked at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """A worker that has answered: the names of the tasks it knows, the ids of those it runs."""

    name: str
    tasks: frozenset[str]
    active: frozenset[str] = frozenset()


def answer_as(executor_id: UUID) -> None:
    """Have this worker say which executor it is, whatever Celery calls it."""
    from celery.worker.control import inspect_command  # noqa: PLC0415 - a worker's own

    def workflow_executor(_state: Any) -> str:
        """The id of this worker's row."""
        return str(executor_id)

    inspect_command(name=COMMAND)(workflow_executor)


def remote_workers() -> dict[str, Remote]:
    """Those that answer, by the ids of their executors."""
    ask: Any = current_app.control.inspect(timeout=PATIENCE)
    known, active = ask.registered() or {}, ask.active() or {}
    return {
        executor: Remote(
            # Celery adds a task's options to its name.
            name=name,
            tasks=frozenset(task.partition(" ")[0] for task in known.get(name, ())),
            active=frozenset(request["id"] for request in active.get(name, ())),
        )
        for name, executor in (ask._request(COMMAND) or {}).items()
    }
