"""What can go wrong in a child."""

__all__ = ["AttemptLost", "ChildError", "ChildExit", "ResultNotJSON"]


class ChildError(Exception):
    """Base of this package's errors."""


class ResultNotJSON(ChildError, TypeError):
    """A child returned something that is not JSON. Return dicts, lists, texts and numbers."""


class ChildExit(ChildError):
    """A child's body called `sys.exit()`. Raise an exception or return instead."""


class AttemptLost(BaseException):
    """This attempt is no longer the one that counts: it was cancelled, or its lease lapsed.

    Raised by a report inside the child's body. Like `asyncio.CancelledError` it is no
    `Exception`, so that a body's `except Exception` does not keep a lost attempt running.
    """
