"""The second pass: a profile of each column, in memory that does not grow with the rows."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from examples.csv_profile.cells import (
    Kind,
    Type,
    common_type,
    exact,
    is_missing,
    iso_date,
    iso_datetime,
    read_cell,
)
from examples.csv_profile.scale import Scale
from examples.csv_profile.sketches import Distinct, Frequent

__all__ = ["MAX_TEXT", "TOP", "Column", "ColumnProfile", "Sizes", "Value"]

MAX_TEXT = 80
"""Characters kept of a value. Longer values are cut, and counted in their cut form."""

TOP = 5
"""Most frequent values in a profile."""

Value = float | str
"""A number, a date as ISO 8601 text, or a text."""

SHOW: Mapping[Type, Callable[[float], Value]] = {
    "integer": lambda value: value,
    "number": lambda value: value,
    "date": iso_date,
    "datetime": iso_datetime,
}
"""How a place on the scale is written, by type."""

UNITS: Mapping[Type, float] = {"integer": 1, "date": 86_400}
"""By type: all places are multiples of this."""

HistogramBin = TypedDict("HistogramBin", {"from": Value, "to": Value, "count": int})


class TopValue(TypedDict):
    value: str
    count: int


class ColumnProfile(TypedDict):
    """One column in the result; the README explains each key."""

    name: str
    type: Type
    kinds: dict[Kind, int]
    present: int
    missing: int
    distinct: int
    distinct_exact: bool
    top: list[TopValue]
    top_error: int
    min: Value | None
    max: Value | None
    mean: Value | None
    quartiles: list[Value] | None
    histogram: list[HistogramBin] | None
    sampled: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How many values each of a column's sketches keeps."""

    sample: int
    distinct: int
    frequent: int

    @classmethod
    def shared_by(cls, columns: int) -> "Sizes":
        """Sizes that keep all columns together below about 80 MB."""

        def share(whole: int, least: int, most: int) -> int:
            return max(least, min(most, whole // max(1, columns)))

        return cls(
            sample=share(1_000_000, 1_000, 20_000),
            distinct=share(200_000, 256, 8_192),
            frequent=share(100_000, 50, 10_000),
        )


class Column:
    """Gets a column's cells in blocks, and returns their profile at the end."""

    def __init__(self, name: str, sizes: Sizes) -> None:
        self.name = name
        self._missing = 0
        self._kinds: Counter[Kind] = Counter()
        self._distinct = Distinct(sizes.distinct)
        self._frequent = Frequent(sizes.frequent)
        # For the values as text, in the order of their characters.
        self._first: str | None = None
        self._last: str | None = None
        # None once the column's type has no scale.
        self._scale: Scale | None = Scale(sizes.sample)

    @property
    def type(self) -> Type:
        return common_type(self._kinds)

    def add(self, cells: Iterable[str]) -> None:
        """Add a block of cells. Spaces around a value are ignored."""
        present: dict[str, int] = {}
        for cell, count in Counter(cells).items():
            text = cell.strip()
            if is_missing(text):
                self._missing += count
            else:
                present[text] = present.get(text, 0) + count
        if present:
            self._distinct.add(present)
            self._place(present)
            self._rank(present)

    def profile(self) -> ColumnProfile:
        """The profile so far. Its size is bounded for any content."""
        present = self._kinds.total()
        profile = ColumnProfile(
            name=self.name,
            type=self.type,
            kinds=dict(self._kinds),
            present=present,
            missing=self._missing,
            distinct=min(self._distinct.count, present),
            distinct_exact=self._distinct.exact,
            top=[TopValue(value=value, count=n) for value, n in self._frequent.top(TOP)],
            top_error=self._frequent.error,
            min=None,
            max=None,
            mean=None,
            quartiles=None,
            histogram=None,
            sampled=False,
        )
        if self.type == "text":
            profile["min"], profile["max"] = self._first, self._last
        elif self.type in SHOW and self._scale is not None:
            _add_scale(profile, self._scale, SHOW[self.type])
        return profile

    def _place(self, present: dict[str, int]) -> None:
        """Count the kinds, and add the values that have a place to the scale."""
        places: list[float] = []
        counts: list[int] = []
        values: list[float | str] = []
        for text, count in present.items():
            kind, place = read_cell(text)
            self._kinds[kind] += count
            if place is None:
                # A range or mean of only some of the values would be wrong.
                self._scale = None
            elif self._scale is not None:
                places.append(place)
                counts.append(count)
                values.append(exact(text, kind, place))
        if self.type not in SHOW:
            self._scale = None
        if self._scale is not None:
            self._scale.add(places, counts, values)

    def _rank(self, present: dict[str, int]) -> None:
        """Count the values, cut to a bounded length."""
        if max(map(len, present)) > MAX_TEXT:
            short: Counter[str] = Counter()
            for text, count in present.items():
                short[text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"] += count
            present = short
        self._frequent.add(present)
        first, last = min(present), max(present)
        self._first = first if self._first is None else min(first, self._first)
        self._last = last if self._last is None else max(last, self._last)


def _add_scale(profile: ColumnProfile, scale: Scale, show: Callable[[float], Value]) -> None:
    profile["min"], profile["max"] = show(scale.low), show(scale.high)
    profile["mean"] = show(scale.mean)
    profile["quartiles"] = [show(value) for value in scale.quartiles()]
    profile["histogram"] = [
        HistogramBin({"from": show(bin_.low), "to": show(bin_.high), "count": bin_.count})
        for bin_ in scale.histogram(UNITS.get(profile["type"], 0))
    ]
    profile["sampled"] = not scale.exact
