"""What can go wrong in a child."""

__all__ = [
    "AttemptLost",
    "ChildError",
    "ChildExit",
    "ResultNotJSON",
    "RetryAsked",
    "TransactionLeftOpen",
]


class ChildError(Exception):
    """Base of this package's errors."""


class ResultNotJSON(ChildError, TypeError):
    """A child returned something that is not JSON. Return dicts, lists, texts and numbers."""


class ChildExit(ChildError):
    """A child's body called `sys.exit()`. Raise an exception or return instead."""


class TransactionLeftOpen(ChildError):
    """A child's body returned in the middle of a transaction. Nobody would ever have ended it."""


class RetryAsked(ChildError):
    """A child's body asked to be tried again: `raise progress.retry(delay=10)`.

    `delay` is in seconds; None leaves it to the step. Where no attempt is left, or no step
    stands behind the child, it is an error like any other.
    """

    def __init__(self, message: str, delay: float | None = None) -> None:
        super().__init__(message)
        self.delay = delay


class AttemptLost(BaseException):
    """This attempt is no longer the one that counts: it was cancelled, or its lease lapsed.

    Raised by a report inside the child's body. Like `asyncio.CancelledError` it is no
    `Exception`, so that a body's `except Exception` does not keep a lost attempt running.
    """
