"""The progress reporter that is passed to a child's body."""

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from children.bar import Bar
from children.errors import NotInRun, RetryAsked
from children.host import Call, RunContext
from children.meta import Meta, Number, whole
from children.reporting.checkpoint import Checkpoint
from children.sanitize import clean_text

__all__ = ["Progress"]

T = TypeVar("T")
SendLater = Callable[[float, Callable[[], tuple[Meta, Any]]], None]
Sender = Callable[[Callable[[Meta], None], Meta], None]

# `track` reads the clock at least once in this many items. A body that becomes slow still reports
# in time, and a fast loop hardly pays for the clock.
MAX_STRIDE = 16

REPORT_INTERVAL = 0.5
"""Seconds between two reports, if nothing else is said."""


class Progress:
    """Reports a child's progress, at most once every `interval` seconds.

    The first report goes to the host at once, and so does the last one of a `track`; the host may
    store it a moment later. A skipped report loses nothing: the next one has the whole state. If
    the body reports nothing more, the host reads the state by itself.
    """

    def __init__(
        self,
        send: Callable[..., None],
        *,
        send_later: SendLater | None = None,
        interval: float = REPORT_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
        checkpoint: Any = None,
        context: Callable[[Call], RunContext | None] | None = None,
    ) -> None:
        self._send, self._send_later = send, send_later
        self._will_send = send_later is None
        self._open_context = context
        self._run: RunContext | None = None
        self._call: Call = _call
        self._sender: Sender | None = None
        self._checkpoint = Checkpoint(checkpoint)
        self._interval = interval
        self._clock = clock
        self._next_at = float("-inf")
        self._bar = Bar()
        self._message = ""

    @property
    def meta(self) -> Meta:
        """The current state, including what has not been sent yet."""
        iteration, total = whole(*self._bar.counters)
        return Meta(
            iteration=iteration,
            total=total,
            completion=self._bar.completion,
            message=clean_text(self._message),
        )

    def track(
        self,
        iterable: Iterable[T],
        total: int | None = None,
        message: str | None = None,
        *,
        resume: bool = False,
    ) -> Iterator[T]:
        """Yield the items of `iterable`. An item counts as done when the next one is requested.

        The loop fills 99 % of the rest of the bar, because another loop may follow. A nested loop
        fills the current item of the outer loop; the counters are those of the outer loop.

        Args:
            total: the number of items; by default `len(iterable)` if it knows its length.
            message: shown while this loop runs; None keeps the previous one.
            resume: skip as many items as the attempt before has reported as done. The items must
                come in the same order each time.

        Raises:
            ValueError: `total` is negative.
            CheckpointInvalid: a loop that resumes inside another one.
        """
        if total is None and isinstance(iterable, Sized):
            with suppress(TypeError, OverflowError):  # some have a length, and do not know it
                total = len(iterable)
        count = None if total is None else _count(total)
        number, done = self._checkpoint.enter_loop() if resume else (None, 0)
        loop = self._bar.track(count)
        if message is not None:
            self._message = str(message)
        next_check, stride = done + 1, 1
        try:
            loop.iteration = done
            self._report_if_due()
            for item in islice(iterable, done, None) if done else iterable:
                yield item
                done += 1
                loop.iteration = done
                if number is not None:
                    self._checkpoint.count(number, done)
                if done >= next_check:
                    stride = 1 if self._report_if_due() else min(stride * 2, MAX_STRIDE)
                    next_check = done + stride
        finally:
            # Also if the body leaves the loop early: the error's meta has the count so far.
            loop.leave()
            if number is not None:
                self._checkpoint.leave_loop()
        self._report()

    @contextmanager
    def part(self, weight: float) -> Iterator["Progress"]:
        """A share of the bar for the work in the `with` block, however that reports.

            with progress.part(0.8):
                for row in progress.track(rows): ...
            with progress.part(0.2):
                for page in progress.track(pages): ...

        At the end of the block the part is full. Inside another part, or an item of a `track`, it
        is a share of that one. If the weight exceeds the rest of the bar, the part takes the rest.

        Args:
            weight: above 0 and at most 1, which is the whole bar.

        Raises:
            ValueError: `weight` is out of range.
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
        """Set the given values, keep the others, and report if a report is due.

        Fractions work: `update(0.5, 1.0)` is 50 %. A lower `iteration` begins another loop in the
        rest of the bar. Inside a `track`, `iteration` counts within the current item.

        Raises:
            ValueError: `iteration` or `total` is negative, or a number that cannot be stored.
        """
        try:
            counts = [None if given is None else _count(given) for given in (iteration, total)]
        except ValueError:
            problem = f"iteration and total count from 0 up, not {iteration} of {total}"
            raise ValueError(problem) from None
        if counts != [None, None]:
            (self._bar.last() if iteration is None else self._bar.inner()).count(*counts)
        if message is not None:
            self._message = str(message)  # lazy translations are not JSON
        self._report_if_due()

    @property
    def run(self) -> RunContext:
        """The run that this child is a step of: its parameters, signals, and a logger.

        Raises:
            NotInRun: no run sent this child.
        """
        if self._run is None and self._open_context is not None:
            self._run = self._open_context(self._call_in_task)
        if self._run is None:
            raise NotInRun(
                "progress.run is the run that a child is a step of, and no run sent this one. "
                "Start a workflow that has it as a step; in a test, with run_inline."
            )
        return self._run

    def _call_in_task(self, work: Callable[[], Any]) -> Any:
        return self._call(work)  # as it is then: `send_by` may have replaced it

    def retry(
        self, delay: float | None = None, message: str = "it asked for a retry"
    ) -> RetryAsked:
        """The exception to raise for another attempt: `raise progress.retry(delay=10)`.

        Args:
            delay: seconds until the next attempt; None takes the step's delay.
            message: the reason, and the error if no attempt is left.
        """
        return RetryAsked(message, delay)

    @property
    def checkpointed(self) -> Any:
        """The last checkpoint of the attempt before; None at first, and outside of a run."""
        return self._checkpoint.before

    def checkpoint(self, value: Any) -> None:
        """Keep a value for the next attempt, if there is one; see `checkpointed`.

        It is stored with the next report, and if the body raises. Keep it after the work that it
        stands for is stored: an attempt may be lost at any moment.

        Args:
            value: any JSON, at most `CHECKPOINT_LIMIT` bytes; it replaces the one before.

        Raises:
            CheckpointInvalid: it is not JSON, or too large.
        """
        self._checkpoint.set(value)
        self._report_if_due()

    def send_checkpoint(self) -> None:
        """Report the checkpoint, if there is one: the body has raised."""
        if self._checkpoint.changed:
            self._report()

    def message(self, text: str) -> None:
        """Set only the message."""
        self.update(message=text)

    def send_by(self, sender: Sender, call: Call) -> None:
        """From now on, call `sender(send, meta)` for each report. It must call `send(meta)`.

        Args:
            call: calls a function in the task's thread.
        """
        self._sender, self._call = sender, call

    def _report_if_due(self) -> bool:
        left = self._next_at - self._clock()
        if left > 0:
            if not self._will_send and self._send_later is not None:
                self._let_host_read(left, self._send_later)
            return False
        self._report()
        return True

    def _let_host_read(self, left: float, send_later: SendLater) -> None:
        self._will_send = True  # before the call: another thread may read at once
        try:
            # Later than the next report of a body that goes on to report.
            send_later(left + self._interval, self._read)
        except BaseException:  # a time limit
            self._will_send = False
            raise

    def _read(self) -> tuple[Meta, Any]:
        """What the host stores of a silent body. Called in a thread beside the body's."""
        self._will_send = False
        return self.meta, self._checkpoint.as_json()

    def _report(self) -> None:
        send: Callable[[Meta], None] = self._send
        if (checkpoint := self._checkpoint.as_json()) is not None:
            send = partial(self._send, checkpoint=checkpoint)
        if self._sender is None:
            send(self.meta)
        else:
            self._sender(send, self.meta)
        # Counted from the end of the write, so a slow database gets no more reports than it can
        # store.
        self._next_at = self._clock() + self._interval


def _call(work: Callable[[], Any]) -> Any:
    return work()


def _count(given: Any) -> Number:
    """Convert to a plain int or float: numpy's are not JSON, decimals do not mix with floats."""
    try:
        number = int(given) if given == int(given) else float(given)
    except (ValueError, OverflowError):
        number = -1  # not a number, or infinite
    if not 0 <= number < 2**63:
        raise ValueError(f"iteration and total count from 0 up, not {given}")
    return number
