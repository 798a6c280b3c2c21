"""How the result page writes numbers and draws bars."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import template

__all__ = ["compact", "peak", "scaled", "share"]

register = template.Library()


@register.filter
def compact(value: object) -> str:
    """A number in about six significant digits; an integer whole up to 21; a text as it is.

    Thousands are set apart from 10,000 up, so that years keep their looks.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    size = abs(value)
    if size < 10_000:
        text = f"{value:.6g}"
    elif isinstance(value, int) and size < 10**21:
        text = f"{value:,}"
    elif 100_000 <= size < 1e15:
        text = f"{value:,.0f}"
    else:
        text = f"{value:,.6g}"
    return text.replace("-", "\N{MINUS SIGN}")


@register.filter
def share(part: float, whole: float) -> str:
    """A part of the whole in per cent, never rounded to none or all: `12 %`, `< 1 %`."""
    if not whole:
        return "0\N{NO-BREAK SPACE}%"
    percent = 100 * part / whole
    if 0 < percent < 1:
        text = "<\N{NO-BREAK SPACE}1"
    elif 99 < percent < 100:
        text = ">\N{NO-BREAK SPACE}99"
    else:
        text = f"{percent:.0f}"
    return f"{text}\N{NO-BREAK SPACE}%"


@register.filter
def scaled(count: float, most: float) -> str:
    """The length of a bar where `most` is 100. What is there at all can be seen."""
    if not count or not most:
        return "0"
    return f"{max(1.5, 100 * count / most):.4g}"


@register.filter
def peak(bins: Iterable[Mapping[str, Any]]) -> int:
    """The highest count of a histogram."""
    return max(int(b["count"]) for b in bins)
