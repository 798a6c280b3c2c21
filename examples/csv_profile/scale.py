"""Statistics of numbers or times: range, mean, quartiles and a small histogram."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, localcontext
from fractions import Fraction
from itertools import chain, pairwise, repeat
from operator import mul

from examples.csv_profile.sketches import Sample

__all__ = ["BINS", "Bin", "Scale"]

BINS = 12

EXACT = Context(prec=1_000_000, traps=[Inexact])
"""For sums without rounding. A cell has at most 131,072 digits and an exponent of three."""


@dataclass(frozen=True, slots=True)
class Bin:
    """How many values lie from `low` to below `high`; in the last bin, up to and at `high`."""

    low: float
    high: float
    count: int


class Scale:
    """Gets values in blocks. Range and mean are exact; the rest comes from a sample."""

    def __init__(self, sample_size: int) -> None:
        self.low: float = math.inf
        self.high: float = -math.inf
        self._sum = Decimal(0)
        self._sample = Sample(sample_size)

    @property
    def exact(self) -> bool:
        """Whether quartiles and histogram come from all values."""
        return self._sample.exact

    @property
    def mean(self) -> float:
        """The float nearest to the mean of the values as written in the file."""
        return float(Fraction(self._sum) / self._sample.seen)

    def add(
        self,
        places: Sequence[float],
        counts: Sequence[int],
        exact: Sequence[float | str] | None = None,
    ) -> None:
        """Take a block of at least one value.

        Args:
            counts: how often each place occurs.
            exact: exact values for `Decimal`, for places that a float has rounded.
        """
        self.low = min(self.low, *places)
        self.high = max(self.high, *places)
        with localcontext(EXACT):
            self._sum = sum(map(mul, map(Decimal, exact or places), counts), self._sum)
        self._sample.add(list(chain.from_iterable(map(repeat, places, counts))))

    def quartiles(self) -> list[float]:
        """The lower quartile, the median and the upper quartile."""
        values = sorted(self._sample.values)
        found = []
        for quarter in (1, 2, 3):
            index, rest = divmod(quarter * (len(values) - 1), 4)
            below, above = values[index], values[min(index + 1, len(values) - 1)]
            found.append(float((_as_written(below) * (4 - rest) + _as_written(above) * rest) / 4))
        return found

    def histogram(self, unit: float = 0) -> list[Bin]:
        """At most `BINS` equal bins over the range, or one if all values are the same.

        Args:
            unit: all values are multiples of it, and so are the bins (1 for integers, 86,400 for
                days in seconds); 0 for any values.
        """
        edges = _edges(self.low, self.high, unit)
        inner = edges[1:-1]
        counts = Counter(bisect_right(inner, value) for value in self._sample.values)
        scale_up = self._sample.seen / len(self._sample.values)
        return [
            Bin(low, high, round(counts[index] * scale_up))
            for index, (low, high) in enumerate(pairwise(edges))
        ]


def _edges(low: float, high: float, unit: float) -> list[float]:
    """The bounds of the bins, from `low` to `high`; at least two."""
    if not unit:
        first, last = _as_written(low), _as_written(high)
        inner = BINS - 1 if first < last else 0
        step = (last - first) / BINS
        return [low, *(float(first + index * step) for index in range(1, inner + 1)), high]
    # Rounded up by floor division, which is exact for integers of any size.
    span = high - low + unit
    width = -(-span // (BINS * unit)) * unit
    return [*(low + index * width for index in range(int(-(-span // width)))), high]


def _as_written(value: float) -> Fraction:
    """The shortest decimal of this float, so that the middle of 0.1 and 0.2 is 0.15."""
    return Fraction(repr(value))
