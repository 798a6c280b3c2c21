"""What an author's code raises, as an error that others can handle."""

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from signal import SIGTERM
from typing import Any

from celery.exceptions import WorkerShutdown, WorkerTerminate
from celery.utils.serialization import get_pickleable_exception

from children.errors import ChildError, ChildExit
from children.meta import error_text

__all__ = ["contained", "ends_process", "exit_code", "presentable"]

EXIT_BY_SIGTERM = -(256 - SIGTERM)
"""Exit code of billiard's processes after SIGTERM (billiard 4.3, `common._shutdown_cleanup`)."""

ASKED: tuple[Callable[[Any], object], ...] = (str, repr, get_pickleable_exception)
"""What Celery asks of an exception. It is prepared for an `Exception`."""


def ends_process(exc: SystemExit) -> bool:
    """Whether a signal handler raised this exit, not the author's code: then the process must end.

    Celery's handlers raise `WorkerShutdown` or `WorkerTerminate`. A process of the pool exits when
    it gets SIGTERM, also at a time limit; the worker then ends the attempt. Python calls handlers
    in the main thread. So an exit in another thread is the author's, and would end only that one.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    return isinstance(exc, WorkerShutdown | WorkerTerminate) or exc.code == EXIT_BY_SIGTERM


def exit_code(exc: SystemExit) -> str:
    """What the author's code has exited with, as text."""
    try:
        return repr(exc.code)
    except BaseException:
        return error_text(exc)


@contextmanager
def contained() -> Iterator[None]:
    """A context in which what would end a process or a thread is an ordinary error.

    `SystemExit`, `asyncio.CancelledError` and panics of extensions in other languages are not
    subclasses of `Exception`. They would stop the engine in the middle of its work. Ctrl-C still
    does.

    Raises:
        ChildExit: the function called `sys.exit`.
        ChildError: it raised something else that is not an `Exception`, or is not `presentable`.
    """
    try:
        yield
    except Exception as exc:
        if (told := presentable(exc)) is exc:
            raise
        raise told from None
    except KeyboardInterrupt:
        raise
    except SystemExit as exc:
        raise _caused(ChildExit(f"it called sys.exit({exit_code(exc)})"), exc) from None
    except BaseException as exc:
        raise _caused(ChildError(error_text(exc)), exc) from None


def _caused(error: ChildError, cause: BaseException) -> ChildError:
    """The error, with the lines of its cause's traceback where they can be had."""
    with suppress(BaseException):
        error.add_note("".join(traceback.format_exception(cause)).rstrip())
    return error


def presentable(exc: Exception) -> Exception:
    """The exception, or a `ChildError` in its place if showing the exception breaks its caller.

    Formatting, `str`, `repr` and pickling call methods of the exception, which are the author's
    code too. They are called outside of the body, where they could harm the next child.
    """
    try:
        traceback.format_exception(exc)
        for ask in ASKED:
            with suppress(Exception):
                ask(exc)
    except BaseException:
        return ChildError(error_text(exc)).with_traceback(exc.__traceback__)
    return exc
