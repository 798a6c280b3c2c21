"""Asking all workers over the broker which executors they are and which tasks they run."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from celery import current_app

__all__ = ["Remote", "register_id_command", "remote_workers"]

COMMAND = "workflow_executor"
ANSWER_TIMEOUT = 2.0
"""Seconds to wait for answers. All workers are asked at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """A worker that answered. `tasks`: names of those it knows; `active`: ids of those it runs."""

    name: str
    tasks: frozenset[str]
    active: frozenset[str] = frozenset()


def register_id_command(executor_id: UUID) -> None:
    """Register a remote control command that returns this worker's executor id."""
    from celery.worker.control import inspect_command  # noqa: PLC0415 - for workers only

    def workflow_executor(_state: Any) -> str:
        """The id of this worker's row."""
        return str(executor_id)

    inspect_command(name=COMMAND)(workflow_executor)


def remote_workers() -> dict[str, Remote]:
    """The workers that answer, by executor id."""
    ask: Any = current_app.control.inspect(timeout=ANSWER_TIMEOUT)
    answers = current_app.control.broadcast(COMMAND, reply=True, timeout=ANSWER_TIMEOUT)
    known, active = ask.registered() or {}, ask.active() or {}
    return {
        executor: Remote(
            name=name,
            # Celery appends a task's options to its name.
            tasks=frozenset(task.partition(" ")[0] for task in known.get(name, ())),
            active=frozenset(request["id"] for request in active.get(name, ())),
        )
        for answer in answers or ()
        for name, executor in answer.items()
    }
