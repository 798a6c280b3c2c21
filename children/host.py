"""The interface between a child and its host, the program that runs it as a step.

`parent` installs its host here at start-up (`install`). Without a host, or for a message that no
run sent, a child is a plain Celery task. It then stores its meta in its own `TaskResult`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from logging import Logger, LoggerAdapter
from typing import Any, Protocol

from children.meta import Meta
from children.reporting.log_buffer import LogBuffer

__all__ = [
    "HEADER",
    "Attempt",
    "Call",
    "Delivery",
    "Follower",
    "Host",
    "RunContext",
    "current",
    "install",
]

HEADER = "workflow_attempt"
"""The message header that marks a host's attempts. Only the host reads its value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A message that this process works on, and whose child may have followers."""

    id: str
    """The message's Celery id, which is also the id of the child that it brought."""

    taken_at: float
    """When this process began to work on it, by `time.monotonic()`."""

    excluded: frozenset[str]
    """Names of tasks that need a message of their own, because Celery limits them."""

    is_stopping: Callable[[], bool]
    """Whether the worker is shutting down."""

    follower_seconds: Callable[[], float]
    """How long this process has worked on followers so far, of this message and of earlier ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Follower:
    """A child that is to run next in this process, without a message of its own.

    `task` is its `ChildTask`, `headers` are those that its message would have. It is claimed in
    the database already; `begin` returns its attempt, and is called where it runs.
    """

    task: Any
    task_id: str
    kwargs: Mapping[str, Any]
    headers: Mapping[str, Any]
    begin: Callable[[], "Attempt"]


Call = Callable[[Callable[[], Any]], Any]
"""Calls a function where statements may be made, and returns what it returns."""


class RunContext(Protocol):
    """The run that a child is a step of, as its body sees it: `progress.run`."""

    @property
    def id(self) -> str:
        """The run's id."""

    @property
    def workflow(self) -> str:
        """The name of the run's workflow."""

    @property
    def step(self) -> str:
        """The name of the child's step; of an item with its key, such as `resize[7]`."""

    @property
    def attempt(self) -> int:
        """The number of the child's attempt, from 1 up."""

    @property
    def logger(self) -> "LoggerAdapter[Logger]":
        """A logger that adds run, workflow, step and attempt to each record, in any thread."""

    @property
    def params(self) -> Mapping[str, Any]:
        """The run's parameters, as JSON. The first use reads them, in one statement."""

    @property
    def scheduled_at(self) -> datetime | None:
        """The nominal time of the schedule that has started the run, or the one that it is a step
        of; None if none has. The first use reads it: one statement, and one for each run above.
        """

    def signals(self) -> dict[str, Any]:
        """The validated values of the signals and approvals that have come until now, by name.

        The values of an approval also have `who`, the user who decided. A signal that feeds a
        `Map` has a list of values, in order. Each call is one statement.
        """

    def signal(self, name: str, /, **values: Any) -> None:
        """Give the run a signal, as `Run.signal` does.

        It is stored at once, and stays if the body fails: a retry that gives the same again
        changes nothing.

        Raises:
            AttemptLost: the attempt no longer counts; the body must end.
            SignalInTransaction: the body is in a transaction of the database.
        """

    def signal_with(self, name: str, values: Mapping[str, Any], *, key: str | None = None) -> None:
        """Like `signal`, with the values in a mapping, so that they may have any name.

        Args:
            key: for a signal that feeds a `Map`: the key of the item. If there is no key, and the
                `Map` does not take it from the values, a retry that gives the same values adds
                another item.
        """

    def close(self, name: str) -> None:
        """Close a signal of the run, so that it cannot be given any more.

        If the signal feeds a `Map`, the `Map` ends with its last item. A signal that is closed
        already stays closed, so a retry of the step changes nothing.

        Raises:
            AttemptLost, SignalInTransaction: as `signal` does.
            UnknownSignal: the workflow has no signal of this name.
            SignalGiven: it has come already.
            SignalClosed: it has ended otherwise: by a timeout, or with the run.
        """


class Attempt(Protocol):
    """The right to run one child, once."""

    name: str
    """The child's name in error messages: `func_1` for `children.func_1`, or its step's name."""

    report_interval: float
    """Minimum seconds between two reports."""

    lost: bool
    """True after a report found that the attempt no longer counts."""

    ended: bool
    """True when its end has been recorded, or must not be."""

    follower: Follower | None
    """After `finish`: the child that this process must run next."""

    checkpoint: Any
    """What the attempt before left; None at first."""

    log: LogBuffer | None
    """Takes what the body logs; None if nobody keeps it."""

    def context(self, call: Call) -> RunContext | None:
        """The child's run, for its body; None if no run sent it. No statement is made here.

        Args:
            call: how to make statements, where `inline`.
        """

    def report(self, meta: Meta, checkpoint: Any = None) -> None:
        """Store the child's progress, and with it the checkpoint, unless that is None.

        Raises:
            AttemptLost: the attempt no longer counts; the body must end.
        """

    def report_later(self, seconds: float, read: Callable[[], tuple[Meta, Any]]) -> None:
        """Store the meta and the checkpoint that `read` returns, in about so many seconds.

        Unless a report or the end comes before. `read` is called in another thread.
        """

    def finish(
        self, outcome: Meta, traceback: str | None = None, error: Exception | None = None
    ) -> bool:
        """Record the outcome, or drop it if the attempt no longer counts.

        Args:
            error: the exception that the body raised.

        Returns:
            False if the child will be retried: this is not its final outcome.
        """

    def abandon(self) -> None:
        """Release the attempt: the body has ended because the attempt no longer counts."""


class Host(Protocol):
    """Gives a child the right to run, and records how it ends."""

    def claim(
        self, task_id: str, header: Any, *, inline: bool, delivery: Delivery | None = None
    ) -> Attempt | None:
        """The attempt of this message, or None if it must not run (a duplicate delivery).

        Args:
            inline: the child runs in its caller's thread, and perhaps in its caller's transaction.
            delivery: the message, if a child may follow this one.
        """

    def process_died(self, task_id: str, reason: str) -> None:
        """The process that ran this attempt has died. Called in a worker's main process."""

    def message_failed(self, task_id: str, reason: str) -> None:
        """Celery counts the message as failed. Called in a worker's main process.

        Args:
            reason: the attempt's error if its outcome has not been recorded.
        """


_host: Host | None = None


def install(host: Host) -> None:
    """Make `host` the host of this process."""
    global _host  # noqa: PLW0603 - one host per process, set once at start-up
    _host = host


def current() -> Host | None:
    """The host of this process, or None if none was installed."""
    return _host
