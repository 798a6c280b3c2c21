"""The engine's implementation of `children.host`, which a child calls."""

from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from children import host
from parent.worker.engine_thread import SameThread, engine_thread
from parent.worker.running_attempt import RunningAttempt

__all__ = ["Lost", "ParentHost", "lost_attempts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """An attempt whose own process did not, or may not have, recorded its end.

    `process_died`: the process is gone. Otherwise only its message is done; most such attempts
    ended normally.
    """

    task_id: str
    reason: str
    process_died: bool


lost_attempts: SimpleQueue[Lost] = SimpleQueue()
"""The worker's watch thread takes these and ends them."""


class ParentHost:
    """Implements `children.host.Host`."""

    def claim(
        self,
        task_id: str,
        header: Any,
        *,
        inline: bool = True,
        delivery: host.Delivery | None = None,
    ) -> RunningAttempt | None:
        thread = SameThread() if inline else engine_thread()
        attempt = RunningAttempt(task_id, header, thread, delivery=delivery)
        return attempt if attempt.claim() else None

    def process_died(self, task_id: str, reason: str) -> None:
        lost_attempts.put(Lost(task_id=task_id, reason=reason, process_died=True))

    def message_failed(self, task_id: str, reason: str) -> None:
        lost_attempts.put(Lost(task_id=task_id, reason=reason, process_died=False))
