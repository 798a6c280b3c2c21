"""A child's bar: what a loop fills of it, a part, and a loop inside another one's item.

What follows a loop is not known before it begins. So a loop fills 99 % of what is left, and never
all of it; the next one begins where the bar stands, and the bar never goes back.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from children.meta import ALMOST, LOOP, Number

__all__ = ["Bar", "Stretch"]


class Stretch:
    """A stretch of the bar, between two marks in percent of the whole, and the loop that fills it.

    `looping`: a `track` has an item out. What is counted until the next belongs to that item.
    """

    # `track` sets `iteration` for each item.
    __slots__ = ("_since", "end", "item", "iteration", "looping", "low", "start", "total")

    def __init__(self, low: float, end: float, item: Number | None = None) -> None:
        self.low = self.start = low
        self.end = end
        self.item = item  # of the stretch around it, None for a part
        self.looping = False
        self.iteration: Number = 0
        self.total: Number | None = None
        self._since: Number = 0

    @property
    def counts(self) -> bool:
        return self.looping or self.total is not None or self.iteration > 0

    def at(self, iteration: Number) -> float:
        """Where the bar is after so many of the loop."""
        items = (self.total or 0) - self._since
        if items <= 0:
            return self.start
        room = self.end - self.start
        return self.start + min(room * (iteration - self._since) / items, LOOP * room)

    def settle(self) -> None:
        """Leave the loop: what follows begins where the bar stands."""
        self.start, self._since = self.at(self.iteration), self.iteration

    def begin(self, iteration: Number = 0, total: Number | None = None) -> None:
        """Begin another loop."""
        self.settle()
        self.iteration = self._since = iteration
        self.total = total

    def count(self, iteration: Number | None, total: Number | None) -> None:
        """Set what is given. Counters that go back, and a new total once the old one is reached,
        are another loop.
        """
        now = self.iteration if iteration is None else iteration
        of = self.total if total is None else total
        done = self.total is not None and 0 < self.total <= self.iteration
        if now < self.iteration or (done and of != self.total):
            self.begin(now, of)
        self.iteration, self.total = now, of

    def leave(self) -> None:
        """The `track` has ended."""
        self.looping = False
        self.settle()


class Bar:
    """The whole bar: stretches inside each other, the present one last."""

    def __init__(self) -> None:
        self._stretches = [Stretch(0.0, 100.0)]
        self._shown = 0.0

    @property
    def completion(self) -> float:
        """0 to `ALMOST`: only an outcome is 100."""
        last = self.last()
        self._shown = max(self._shown, min(last.at(last.iteration), ALMOST))
        return self._shown

    @property
    def counters(self) -> tuple[Number, Number | None]:
        """Those of the outermost loop."""
        self.last()
        outermost = next((each for each in self._stretches if each.counts), self._stretches[0])
        return outermost.iteration, outermost.total

    def last(self) -> Stretch:
        """The stretch that is being filled, or whose loop has an item out."""
        pairs = enumerate(zip(self._stretches, self._stretches[1:], strict=False), start=1)
        for place, (outer, inner) in pairs:
            if inner.item is not None and not (outer.looping and inner.item == outer.iteration):
                del self._stretches[place:]  # the loop has gone on, or was left
                break
        return self._stretches[-1]

    def inner(self) -> Stretch:
        """The stretch for what begins now: where a loop has an item out, that item's."""
        last = self.last()
        if last.looping:
            done = last.iteration
            last = Stretch(last.at(done), last.at(done + 1), item=done)
            self._stretches.append(last)
        return last

    def track(self, total: Number | None) -> Stretch:
        """Begin a loop whose items hold what is counted meanwhile, until it is left."""
        stretch = self.inner()
        stretch.begin(total=total)
        stretch.looping = True
        return stretch

    @contextmanager
    def part(self, weight: float) -> Iterator[None]:
        """A part of the present stretch, from where the bar stands; full once it was left well."""
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
