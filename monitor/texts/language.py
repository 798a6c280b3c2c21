"""The language of a page, and figures in it."""

from decimal import ROUND_HALF_UP, Decimal

from django.utils.formats import number_format
from django.utils.translation import get_language, override

__all__ = ["LANGUAGES", "figure", "page_language"]

LANGUAGES = ("en", "de", "fr")
"""The languages of our texts; the first one is that of the texts themselves."""

SPACE, NARROW_SPACE = "\u00a0", "\u202f"


def page_language() -> str:
    """The language of our texts on this page: the reader's, if we have it, else English."""
    language = (get_language() or LANGUAGES[0]).partition("-")[0]
    return language if language in LANGUAGES else LANGUAGES[0]


def figure(number: float, digits: int | None = None) -> str:
    """`1,234.5`, as the page's language writes it, and as browsers do: `number` of
    `task-progress.js`. In French they part thousands by a narrow space.
    """
    exact = Decimal(number)
    if digits is not None:  # `number_format` would cut off what browsers round
        exact = exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    with override(page_language()):
        written = number_format(exact, digits, use_l10n=True, force_grouping=True)
    return written.replace(SPACE, NARROW_SPACE)
