"""The errors of children."""

import math

__all__ = [
    "AttemptLost",
    "CheckpointInvalid",
    "ChildError",
    "ChildExit",
    "NotInRun",
    "ResultNotJSON",
    "RetryAsked",
    "TransactionLeftOpen",
]


class ChildError(Exception):
    """Base of this package's errors."""


class ResultNotJSON(ChildError, TypeError):
    """A child returned a value that is not JSON. Return dicts, lists, strings and numbers."""


class CheckpointInvalid(ChildError, ValueError):
    """A checkpoint that cannot be kept, or loops that cannot both resume. The message says why."""


class ChildExit(ChildError):
    """A child's body called `sys.exit()`. Raise an exception or return instead."""


class NotInRun(ChildError):
    """The body asked for its run, and no run sent it. Start a workflow with it, or use
    `run_inline` in a test.
    """


class TransactionLeftOpen(ChildError):
    """A child's body returned with a transaction open. Use `transaction.atomic()` in a `with`."""


class RetryAsked(ChildError):
    """A child's body asked for a retry: `raise progress.retry(delay=10)`.

    `delay` is in seconds; None takes the step's delay. If no retry is left, or the child is not a
    step, it is an ordinary error.

    Raises:
        ValueError, TypeError: the delay is not a number.
    """

    def __init__(self, message: str, delay: float | None = None) -> None:
        super().__init__(message)
        self.delay = None if delay is None else float(delay)
        if self.delay is not None and math.isnan(self.delay):
            raise ValueError(f"a retry is delayed by a number of seconds, not {delay}")


class AttemptLost(BaseException):
    """This attempt no longer counts: it was cancelled, or its lease expired.

    A report inside the child's body raises it. Like `asyncio.CancelledError` it is not an
    `Exception`, so `except Exception` in a body does not keep a lost attempt running.
    """
