"""A figure: two sides, their ratio, and what it should be; or why it could not be taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import ge, le

__all__ = ["Figure", "NotTaken", "Untaken", "percentile"]


class NotTaken(Exception):
    """What was measured is not what was meant. The message says what happened instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One line of the answer.

    Args:
        name: what was measured.
        ours, other: both sides, with their units.
        value: the ratio that counts, or the number itself where there is no ratio.
        at_most, at_least: the bound; neither where it is only shown.
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
        """The bound, and whether it is kept; nothing where there is none."""
        if self.at_most is None and self.at_least is None:
            return ""
        wanted = f"<= {self.at_most:g}" if self.at_most is not None else f">= {self.at_least:g}"
        return f"wanted {wanted:<8} {'ok' if self.ok else 'MISSED'}"

    def __str__(self) -> str:
        sides = f"{self.ours:>18} | {self.other:<34}"
        return f"  {self.name:<34} {sides} {self.value:>8.2f}  {self.verdict}".rstrip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Untaken:
    """In the place of a figure that could not be taken.

    Args:
        name: of the figure, or of the part of the bench.
        reason: why, in some words.
    """

    name: str
    reason: str
    ok = False

    def __str__(self) -> str:
        return f"  {self.name:<34} NOT TAKEN: {' '.join(self.reason.split())}"


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that `percent` of them do not exceed.

    Raises:
        NotTaken: there are none.
    """
    if not values:
        raise NotTaken("nothing was there to be measured")
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]
