"""Summaries of more values than fit into memory. Each is exact while the values fit.

All of them are deterministic: the same file has the same profile.
"""

import math
import random
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from heapq import nsmallest

__all__ = ["Distinct", "Frequent", "Sample"]

HASHES = 2**64
WHOLE = 2**53
"""Above it, not every integer is a float."""


class Sample:
    """A uniform random sample of a stream; all of it while it is no longer than `size`.

    Algorithm L (Li, 1994): it computes how many values to skip, so a long stream costs little.
    """

    def __init__(self, size: int, seed: int = 1) -> None:
        self.values: array[float] | list[float] = array("d")
        self.seen = 0
        self._size = size
        self._random = random.Random(seed)  # noqa: S311 - it draws a sample, not a secret
        self._weight = 1.0
        self._next = size - 1
        self._skip()

    @property
    def exact(self) -> bool:
        """Whether the sample has all values."""
        return self.seen == len(self.values)

    def add(self, values: Sequence[float]) -> None:
        if isinstance(self.values, array) and max(map(abs, values)) > WHOLE:
            # A list takes more memory than an array, but keeps integers of any size.
            self.values = list(self.values)
        start = self.seen
        self.seen += len(values)
        room = self._size - len(self.values)
        if room > 0:
            self.values.extend(values[:room])
        while self._next < self.seen:
            self.values[self._random.randrange(self._size)] = values[self._next - start]
            self._skip()

    def _skip(self) -> None:
        """Set `_next` to the place in the stream of the next value that enters the sample."""
        self._weight *= self._uniform() ** (1 / self._size)
        self._next += 1 + int(math.log(self._uniform()) / math.log1p(-self._weight))

    def _uniform(self) -> float:
        return self._random.random() or 0.5  # zero has no logarithm


class Distinct:
    """The number of different values: exact at least up to `size`, then an estimate.

    It keeps the `size` smallest of the values' hashes (Bar-Yossef et al., 2002): the closer they
    lie, the more values there are. The estimate's standard error is 1/sqrt(size): 1.1 % for 8,192.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._hashes: set[int] = set()
        self._ceiling = HASHES

    @property
    def exact(self) -> bool:
        return self._ceiling == HASHES

    @property
    def count(self) -> int:
        if self.exact:
            return len(self._hashes)
        largest_kept = sorted(self._hashes)[self._size - 1]
        return round((self._size - 1) * HASHES / largest_kept)

    def add(self, values: Iterable[str]) -> None:
        ceiling = self._ceiling
        self._hashes.update(h for h in map(_hash, values) if h < ceiling)
        # Twice the size before trimming, so that sorting is rare.
        if len(self._hashes) > 2 * self._size:
            kept = sorted(self._hashes)[: self._size]
            self._hashes = set(kept)
            self._ceiling = kept[-1] + 1


class Frequent:
    """The most frequent values, counted exactly while no more than `size` values differ.

    Then Misra and Gries's summary (1982), merged as Agarwal et al. (2012) do: a value's true
    count is at least its count here and at most `error` more, and no value that makes up
    more than 1/size of all is lost.
    """

    def __init__(self, size: int) -> None:
        self.error = 0
        self._size = size
        self._counts: Counter[str] = Counter()

    def add(self, counts: Mapping[str, int]) -> None:
        self._counts.update(counts)
        if len(self._counts) > 2 * self._size:
            cut = sorted(self._counts.values(), reverse=True)[self._size]
            self.error += cut
            self._counts = Counter({v: n - cut for v, n in self._counts.items() if n > cut})

    def top(self, count: int) -> list[tuple[str, int]]:
        """Up to `count` of the most frequent values, in descending order, then by text.

        A value whose possible error exceeds its count is left out.
        """
        sure = [item for item in self._counts.items() if item[1] > self.error]
        return nsmallest(count, sure, key=lambda item: (-item[1], item[0]))


def _hash(value: str) -> int:
    # Python's own hash() of a string differs between processes.
    return int.from_bytes(blake2b(value.encode(), digest_size=8).digest(), "big")
