"""The state of a context: language, time zone and decimal arithmetic."""

import decimal
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context

from django.utils import timezone, translation

__all__ = ["context_of_its_own", "kept_context"]


def context_of_its_own() -> Context:
    """A copy of this context. The decimal context is copied too, because it is mutable."""
    context = copy_context()
    context.run(decimal.setcontext, decimal.getcontext().copy())
    return context


@contextmanager
def kept_context() -> Iterator[None]:
    """Restore this state afterwards, for code that cannot run in its own context."""
    arithmetic, language = decimal.getcontext().copy(), translation.get_language()
    zone = timezone.get_current_timezone()
    try:
        yield
    finally:
        decimal.setcontext(arithmetic)
        if language is None:
            translation.deactivate_all()
        elif translation.get_language() != language:
            translation.activate(language)
        if timezone.get_current_timezone() != zone:
            timezone.activate(zone)
