"""A child's progress bar: how loops, parts and nested loops share it.

A child does not announce its loops, so more work may follow each of them. A loop therefore fills
99 % of the rest of the bar. The next loop begins where the bar stands. The bar never moves back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from children.meta import ALMOST, LOOP, Number

__all__ = ["Bar", "Stretch"]


class Stretch:
    """A section of the bar, `low` to `end` in percent of the whole bar, and the loop that fills it.

    `looping` is true while a `track` runs here. Work counted meanwhile belongs to its current item.
    """

    # `track` sets `iteration` for each item.
    __slots__ = ("_since", "end", "item", "iteration", "looping", "low", "start", "total")

    def __init__(self, low: float, end: float, item: Number | None = None) -> None:
        self.low = self.start = low
        self.end = end
        self.item = item  # the item of the outer loop that this stretch stands for; None for a part
        self.looping = False
        self.iteration: Number = 0
        self.total: Number | None = None
        self._since: Number = 0

    @property
    def counts(self) -> bool:
        return self.looping or self.total is not None or self.iteration > 0

    def at(self, iteration: Number) -> float:
        """The bar's position, in percent, after `iteration` items of the loop."""
        items = (self.total or 0) - self._since
        if items <= 0:
            return self.start
        room = self.end - self.start
        return self.start + min(room * (iteration - self._since) / items, LOOP * room)

    def settle(self) -> None:
        """End the loop. The next one begins where the bar stands."""
        self.start, self._since = self.at(self.iteration), self.iteration

    def begin(self, iteration: Number = 0, total: Number | None = None) -> None:
        """Begin another loop."""
        self.settle()
        self.iteration = self._since = iteration
        self.total = total

    def count(self, iteration: Number | None, total: Number | None) -> None:
        """Set the given counters and keep those that are None.

        A lower iteration begins another loop. So does a new total after the old one was reached.
        """
        now = self.iteration if iteration is None else iteration
        of = self.total if total is None else total
        done = self.total is not None and 0 < self.total <= self.iteration
        if now < self.iteration or (done and of != self.total):
            self.begin(now, of)
        self.iteration, self.total = now, of

    def leave(self) -> None:
        """End the `track`."""
        self.looping = False
        self.settle()


class Bar:
    """The whole bar: nested stretches, the innermost last."""

    def __init__(self) -> None:
        self._stretches = [Stretch(0.0, 100.0)]
        self._shown = 0.0

    @property
    def completion(self) -> float:
        """0 to `ALMOST`. Only an outcome has 100."""
        last = self._in_use()[-1]
        self._shown = max(self._shown, min(last.at(last.iteration), ALMOST))
        return self._shown

    @property
    def counters(self) -> tuple[Number, Number | None]:
        """Iteration and total of the outermost loop."""
        stretches = self._in_use()
        outermost = next((each for each in stretches if each.counts), stretches[0])
        return outermost.iteration, outermost.total

    def last(self) -> Stretch:
        """The innermost stretch that is still in use. The others are forgotten."""
        if len(self._stretches) > 1:
            self._stretches = self._in_use()
        return self._stretches[-1]

    def _in_use(self) -> list[Stretch]:
        """A copy, as another thread than the body's may read how far it is."""
        stretches = self._stretches.copy()
        for place, (outer, inner) in enumerate(pairwise(stretches), start=1):
            if inner.item is not None and not (outer.looping and inner.item == outer.iteration):
                return stretches[:place]  # the outer loop is at another item, or has ended
        return stretches

    def inner(self) -> Stretch:
        """The stretch for work that begins now: in a `track`, that of its current item."""
        last = self.last()
        if last.looping:
            done = last.iteration
            last = Stretch(last.at(done), last.at(done + 1), item=done)
            self._stretches.append(last)
        return last

    def track(self, total: Number | None) -> Stretch:
        """Begin a loop. Until it is left, counted work belongs to its current item."""
        stretch = self.inner()
        stretch.begin(total=total)
        stretch.looping = True
        return stretch

    @contextmanager
    def part(self, weight: float) -> Iterator[None]:
        """A part of the current stretch, from where the bar stands; full if nothing was raised."""
        around = self.inner()
        around.begin()
        end = min(around.start + weight * (around.end - around.low), around.end)
        part = Stretch(around.start, end)
        self._stretches.append(part)
        try:
            yield
            part.start = part.end
        finally:
            part.settle()
            if part in self._stretches:
                del self._stretches[self._stretches.index(part) :]
            around.begin(part.iteration, part.total)
            around.start = part.start
