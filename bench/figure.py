"""A figure: two sides, their ratio and its bound; or why it could not be measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import ge, le

__all__ = ["Figure", "NotMeasured", "Skipped", "Unmeasured", "percentile"]


class NotMeasured(Exception):
    """The measurement is not valid. The message says what happened instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One line of the output.

    Args:
        name: what was measured.
        ours, other: both sides, with their units.
        value: the ratio, or the number itself if there is no ratio.
        at_most, at_least: the bound; neither if the figure is only shown.
    """

    name: str
    ours: str
    other: str
    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def ok(self) -> bool:
        bounds = ((le, self.at_most), (ge, self.at_least))
        return all(holds(self.value, bound) for holds, bound in bounds if bound is not None)

    @property
    def verdict(self) -> str:
        """The bound, and whether it is met; empty without a bound."""
        if self.at_most is None and self.at_least is None:
            return ""
        wanted = f"<= {self.at_most:g}" if self.at_most is not None else f">= {self.at_least:g}"
        return f"wanted {wanted:<8} {'ok' if self.ok else 'MISSED'}"

    def __str__(self) -> str:
        sides = f"{self.ours:>18} | {self.other:<34}"
        return f"  {self.name:<34} {sides} {self.value:>8.2f}  {self.verdict}".rstrip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Unmeasured:
    """Stands for a figure that could not be measured.

    Args:
        name: of the figure, or of the part of the bench.
        reason: why, in a few words.
    """

    name: str
    reason: str
    ok = False

    def __str__(self) -> str:
        return f"  {self.name:<34} NOT MEASURED: {' '.join(self.reason.split())}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """Stands for a figure whose other side is not to be had here; that is not a failure.

    Args:
        name: of the figure.
        reason: why, in a few words.
    """

    name: str
    reason: str
    ok = True

    def __str__(self) -> str:
        return f"  {self.name:<34} skipped: {' '.join(self.reason.split())}"


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of the values do not exceed.

    Raises:
        NotMeasured: there are no values.
    """
    if not values:
        raise NotMeasured("nothing was there to be measured")
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]
