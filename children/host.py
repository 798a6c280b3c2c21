"""What a child needs from whoever runs it.

`parent` installs its engine here at start-up (`install`). Without it, or for a message that no
run sent, a child is a plain Celery task that keeps its meta in its own `TaskResult`.
"""

from typing import Any, Protocol

from children.meta import Meta

__all__ = ["HEADER", "Attempt", "Host", "engine", "install"]

HEADER = "workflow_attempt"
"""The message header by which an engine recognises its own attempts; its value is the engine's."""


class Attempt(Protocol):
    """The right to run one child, once."""

    name: str
    """What errors call the child: `func_1` of `children.func_1`, or its step's name."""

    report_interval: float
    """Seconds between two reports."""

    lost: bool
    """Whether a report has found that the attempt no longer counts."""

    def report(self, meta: Meta) -> None:
        """Store where the child is.

        Raises:
            AttemptLost: the attempt no longer counts; the body must end.
        """

    def finish(
        self, outcome: Meta, traceback: str | None = None, error: Exception | None = None
    ) -> bool:
        """Record the outcome, or drop it where the attempt no longer counts.

        Args:
            error: what the body raised.

        Returns:
            False where the child will be tried again, so that this is not yet its outcome.
        """

    def abandon(self) -> None:
        """The body has ended because its attempt no longer counts."""


class Host(Protocol):
    """Hands out attempts."""

    def claim(self, task_id: str, task_name: str, header: Any, *, inline: bool) -> Attempt | None:
        """The attempt of this message; None where it may not run: of a second delivery.

        Args:
            inline: the child runs in its caller's thread, and perhaps in its transaction.
        """

    def lost(self, task_id: str, reason: str) -> None:
        """The process that ran this attempt is gone. Called in a worker's main process."""

    def over(self, task_id: str, reason: str) -> None:
        """The message of this attempt has been worked off. Called in a worker's main process.

        Args:
            reason: the error of the attempt, should its outcome not have been recorded.
        """


_engine: Host | None = None


def install(host: Host) -> None:
    """Make `host` the engine of this process."""
    global _engine  # noqa: PLW0603 - one engine a process, set once at start-up
    _engine = host


def engine() -> Host | None:
    """The engine of this process, if one was installed."""
    return _engine
