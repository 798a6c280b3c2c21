"""Values on a scale, numbers or moments: range, mean, quartiles and a small histogram."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import quantiles

from examples.csv_profile.sketches import Sample

__all__ = ["BINS", "Bin", "Scale"]

BINS = 12


@dataclass(frozen=True, slots=True)
class Bin:
    """How many values lie from `low` up to `high`, or, in the last bin, at `high` too."""

    low: float
    high: float
    count: int


class Scale:
    """Takes values in blocks. Range and mean are exact; the rest is drawn from a sample."""

    def __init__(self, sample_size: int) -> None:
        self.low: float = math.inf
        self.high: float = -math.inf
        self.mean = 0.0
        self._sample = Sample(sample_size)

    @property
    def exact(self) -> bool:
        """Whether quartiles and histogram come from all values."""
        return self._sample.exact

    def add(self, values: Sequence[float]) -> None:
        """Take a block of at least one value. A mean of means: a running sum loses digits."""
        self.low = min(self.low, *values)
        self.high = max(self.high, *values)
        self._sample.add(values)
        share = len(values) / self._sample.seen
        self.mean += (math.fsum(values) / len(values) - self.mean) * share

    def quartiles(self) -> list[float]:
        """The lower quartile, the median and the upper quartile."""
        values = self._sample.values
        return [values[0]] * 3 if len(values) == 1 else quantiles(values, n=4, method="inclusive")

    def histogram(self, unit: float = 0) -> list[Bin]:
        """At most `BINS` equal bins over the range, or one where all values are the same.

        Args:
            unit: what the values are multiples of, so that every bin spans as many of them (1
                for integers, 86,400 for days in seconds); 0 for values that lie anywhere.
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
    """The bounds of the bins, from `low` to `high`; two at least."""
    span = high - low
    if unit:
        # Rounded up by floor division, which is exact for integers of any size.
        width = -(-(span + unit) // (BINS * unit)) * unit
        bins = int(-(-(span + unit) // width))
    else:
        width, bins = span / BINS, BINS if span else 1
    return [*(low + index * width for index in range(bins)), high]
