"""The progress reporter that a child's body is given."""

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from children.bar import Bar
from children.errors import RetryAsked
from children.meta import Meta, Number, whole
from children.sanitize import clean_text

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
        self._bar = Bar()
        self._message = ""

    @property
    def meta(self) -> Meta:
        """Where the child is now, whether it was sent or held back."""
        iteration, total = whole(*self._bar.counters)
        return Meta(
            iteration=iteration,
            total=total,
            completion=self._bar.completion,
            message=clean_text(self._message),
        )

    def track(
        self, iterable: Iterable[T], total: int | None = None, message: str | None = None
    ) -> Iterator[T]:
        """Yield the items of `iterable`, counting each one as done when the next is asked for.

        It fills 99 % of what is left of the bar: another loop may follow. A loop inside fills the
        outer loop's present item, and the counters are the outer loop's.

        Args:
            total: how many items there will be; `len(iterable)` where it has one.
            message: shown while this loop runs; None keeps the one before.

        Raises:
            ValueError: `total` is negative.
        """
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        loop = self._bar.track(None if total is None else _count(total))
        if message is not None:
            self._message = str(message)
        done, look_at, stride = 0, 1, 1
        try:
            self._report_if_due()
            for item in iterable:
                yield item
                done += 1
                loop.iteration = done
                if done >= look_at:
                    stride = 1 if self._report_if_due() else min(stride * 2, MAX_STRIDE)
                    look_at = done + stride
        finally:
            # Also when the body leaves the loop early: the error's meta says how far it came.
            loop.leave()
        self._report()

    @contextmanager
    def part(self, weight: float) -> Iterator["Progress"]:
        """A share of the bar for what is done in the block, whichever way that reports.

            with progress.part(0.8):
                for row in progress.track(rows): ...
            with progress.part(0.2):
                for page in progress.track(pages): ...

        At the end of the block the part is full. Inside another part, or inside an item of a
        `track`, it is a share of that. One that is larger than what is left takes what is left.

        Args:
            weight: more than 0, up to 1, which is the whole.

        Raises:
            ValueError: `weight` is something else.
        """
        if not 0 < weight <= 1:
            raise ValueError(f"a part's weight is more than 0, up to 1, not {weight}")
        with self._bar.part(float(weight)):
            yield self
        self._report_if_due()

    def update(
        self,
        iteration: float | None = None,
        total: float | None = None,
        message: str | None = None,
    ) -> None:
        """Set what is given, keep the rest, and report if a report is due.

        Fractions count: `update(0.5, 1.0)` is 50 %. Counters that go back begin another loop, in
        what is left of the bar. An `iteration` given inside a `track` is of its present item.

        Raises:
            ValueError: `iteration` or `total` is negative, or no number that can be stored.
        """
        try:
            counts = [None if given is None else _count(given) for given in (iteration, total)]
        except ValueError:
            told = f"iteration and total count from 0 up, not {iteration} of {total}"
            raise ValueError(told) from None
        if counts != [None, None]:
            (self._bar.last() if iteration is None else self._bar.inner()).count(*counts)
        if message is not None:
            self._message = str(message)  # lazy translations are not JSON
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


def _count(given: Any) -> Number:
    """As a plain number: numpy's are not JSON, and decimals do not mix with floats."""
    try:
        number = int(given) if given == int(given) else float(given)
    except (ValueError, OverflowError):
        number = -1  # not a number, or infinite
    if not 0 <= number < 2**63:
        raise ValueError(f"iteration and total count from 0 up, not {given}")
    return number
