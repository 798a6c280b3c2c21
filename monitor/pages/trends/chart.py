"""The charts of a trend: rectangles, which a page may stretch. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from monitor.pages.trends.figures import Figures

__all__ = ["HEIGHT", "WIDTH", "Bar", "durations", "outcomes"]

WIDTH, HEIGHT = 1000, 100
GAP = 0.25
"""The space between two bars, as a part of the width that each time has."""
LINE = 0.08
LOWEST = 1.0
"""The least height of a bar, so that a short duration is visible beside long ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A rectangle. `look` is `ok`, `failed`, `cancelled`, `median` or `longest`."""

    look: str
    x: float
    y: float
    width: float
    height: float


def durations(times: Sequence[Figures]) -> list[Bar]:
    """A bar of the median for each time, and a line up to the longest."""
    highest = max((each.longest or 0 for each in times), default=0) or 1
    bars = []
    for place, each in enumerate(times):
        for look, seconds, part in (
            ("longest", each.longest, LINE),
            ("median", each.median, 1 - GAP),
        ):
            if seconds is not None:
                height = max(LOWEST, HEIGHT * seconds / highest)
                bars.append(_bar(look, place, len(times), part, HEIGHT - height, height))
    return bars


def outcomes(times: Sequence[Figures]) -> list[Bar]:
    """For each time the runs that failed, were cancelled and are done, upon each other."""
    highest = max((sum(_ended(each)) for each in times), default=0) or 1
    return [bar for place, each in enumerate(times) for bar in _stack(each, place, times, highest)]


def _ended(each: Figures) -> tuple[int, int, int]:
    return each.failed, each.cancelled, each.done


def _stack(each: Figures, place: int, times: Sequence[Figures], highest: int) -> Iterator[Bar]:
    bottom: float = HEIGHT
    for look, number in zip(("failed", "cancelled", "ok"), _ended(each), strict=True):
        if number:
            height = HEIGHT * number / highest
            bottom -= height
            yield _bar(look, place, len(times), 1 - GAP, bottom, height)


def _bar(look: str, place: int, of: int, part: float, y: float, height: float) -> Bar:
    room = WIDTH / of
    width = room * part
    return Bar(
        look=look,
        x=round(place * room + (room - width) / 2, 2),
        y=round(y, 2),
        width=round(width, 2),
        height=round(height, 2),
    )
