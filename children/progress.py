"""The progress reporter that a child's body is given."""

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from typing import TypeVar

from children.errors import RetryAsked
from children.meta import Meta

__all__ = ["Progress"]

T = TypeVar("T")

# `track` looks at the clock once in this many items at the most: often enough that a body which
# turns slow is still heard, seldom enough that a tight loop does not notice.
MAX_STRIDE = 16


class Progress:
    """Reports where a child is, no more often than every `interval` seconds.

    The first report goes out at once and the last of a `track` always; what is held back in
    between is not lost, for each report carries the whole state.
    """

    def __init__(
        self,
        send: Callable[[Meta], None],
        *,
        interval: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._interval = interval
        self._clock = clock
        self._next_at = float("-inf")
        self._iteration = 0
        self._total: int | None = None
        self._message = ""

    @property
    def meta(self) -> Meta:
        """Where the child is now, whether it was sent or held back."""
        return Meta.at(self._iteration, self._total, self._message)

    def track(
        self, iterable: Iterable[T], total: int | None = None, message: str | None = None
    ) -> Iterator[T]:
        """Yield the items of `iterable`, counting each one as done when the next is asked for.

        There is one bar: of two loops inside each other, track the outer.

        Args:
            total: how many items there will be; `len(iterable)` where it has one.
            message: shown while this loop runs; None keeps the one before.

        Raises:
            ValueError: `total` is negative.
        """
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        self._total = None  # of a loop before this one
        self.update(0, total, message)
        done, look_at, stride = 0, 1, 1
        try:
            for item in iterable:
                yield item
                done += 1
                if done >= look_at:
                    self._iteration = done
                    stride = 1 if self._report_if_due() else min(stride * 2, MAX_STRIDE)
                    look_at = done + stride
        finally:
            # Also when the body leaves the loop early: the error's meta says how far it came.
            self._iteration = done
        self._report()

    def update(
        self,
        iteration: int | None = None,
        total: int | None = None,
        message: str | None = None,
    ) -> None:
        """Set what is given, keep the rest, and report if a report is due.

        Raises:
            ValueError: `iteration` or `total` is negative, or no number that can be stored.
        """
        for count in (iteration, total):
            if count is not None and not 0 <= count < 2**63:
                raise ValueError(f"iteration and total count from 0 up, not {iteration} of {total}")
        # As plain ints and text: numpy's numbers and lazy translations are not JSON.
        if iteration is not None:
            self._iteration = int(iteration)
        if total is not None:
            self._total = int(total)
        if message is not None:
            self._message = str(message)
        self._report_if_due()

    def retry(
        self, delay: float | None = None, message: str = "it asked for a retry"
    ) -> RetryAsked:
        """What to raise for another attempt: `raise progress.retry(delay=10)`.

        Args:
            delay: seconds until then; None takes the step's own.
            message: why; it is the error if no attempt is left.
        """
        return RetryAsked(message, delay)

    def message(self, text: str) -> None:
        """Set only the message."""
        self.update(message=text)

    def send_by(self, sender: Callable[[Callable[[Meta], None], Meta], None]) -> None:
        """Have `sender(send, meta)` make each report from here on, by `send(meta)`."""
        self._send = partial(sender, self._send)

    def _report_if_due(self) -> bool:
        if self._clock() < self._next_at:
            return False
        self._report()
        return True

    def _report(self) -> None:
        self._send(self.meta)
        # After the write, not before it: a slow database is not asked faster than it answers.
        self._next_at = self._clock() + self._interval
