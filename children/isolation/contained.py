"""What an author's code raises, as an error that others can handle."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from children.errors import ChildError, ChildExit
from children.meta import error_text

__all__ = ["contained", "presentable"]


@contextmanager
def contained() -> Iterator[None]:
    """A context in which what would end a process or a thread is an ordinary error.

    `sys.exit`, `asyncio.CancelledError` and panics of extensions in other languages are no
    `Exception`: they would leave the engine in the middle of its work. Ctrl-C still does.

    Raises:
        ChildExit: the function called `sys.exit`.
        ChildError: it raised something else that is no `Exception`.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except SystemExit as exc:
        raise ChildExit(f"it called sys.exit({exc.code!r})") from exc
    except BaseException as exc:
        raise ChildError(error_text(exc)) from exc


def presentable(exc: Exception) -> Exception:
    """The exception, or a `ChildError` in its place if it ends the process of who asks what it is.

    Its methods are an author's code too. Celery calls them outside of the body, and is prepared
    for an `Exception` only: the next child in the process would pay for more.
    """
    if all(_answers(exc, question) for question in (str, repr, _reduce)):
        return exc
    text = error_text(exc) if _answers(exc, str) else type(exc).__name__
    return ChildError(text).with_traceback(exc.__traceback__)


def _answers(exc: Exception, question: Callable[[Any], object]) -> bool:
    try:
        question(exc)
    except (Exception, KeyboardInterrupt):
        return True
    except BaseException:
        return False
    return True


def _reduce(exc: Exception) -> object:
    return exc.__reduce_ex__(2)
