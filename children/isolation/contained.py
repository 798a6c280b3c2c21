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
    """Whether a signal's handler has raised it, and not the author's code: it ends the process.

    Celery raises requests of its own at a shutdown, and a pool's process an exit when it gets
    SIGTERM, at a time limit too; the worker then ends the attempt. Python calls these handlers in
    the main thread, so in another one an exit is the author's, and would end that thread alone.
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

    `sys.exit`, `asyncio.CancelledError` and panics of extensions in other languages are no
    `Exception`: they would leave the engine in the middle of its work. Ctrl-C still does.

    Raises:
        ChildExit: the function called `sys.exit`.
        ChildError: it raised something else that is no `Exception`, or is not `presentable`.
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
    """The exception, or a `ChildError` in its place if who asks what it is cannot go on.

    Its methods are an author's code too. They are called outside of the body, and the next child
    in the process would pay for it.
    """
    try:
        traceback.format_exception(exc)
        for ask in ASKED:
            with suppress(Exception):
                ask(exc)
    except BaseException:
        return ChildError(error_text(exc)).with_traceback(exc.__traceback__)
    return exc
