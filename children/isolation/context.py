"""The state of a context (language, time zone and decimal arithmetic), and of a thread."""

import asyncio
import decimal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context

from django.utils import timezone, translation

__all__ = ["context_of_its_own", "kept_context", "kept_thread"]


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


@contextmanager
def kept_thread() -> Iterator[None]:
    """Restore this thread's event loop, profiler and tracer afterwards.

    While a loop counts as running, Django refuses each statement in its thread, also a close. Some
    libraries leave one behind, such as Playwright's API for code that is not asynchronous.
    """
    loop, profiler, tracer = asyncio._get_running_loop(), sys.getprofile(), sys.gettrace()
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)
        if sys.getprofile() is not profiler:
            sys.setprofile(profiler)
        if sys.gettrace() is not tracer:
            sys.settrace(tracer)
