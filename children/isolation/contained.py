"""What a function of an author raises, as an error of that function."""

from collections.abc import Iterator
from contextlib import contextmanager

from children.errors import ChildError, ChildExit
from children.meta import error_text

__all__ = ["contained"]


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
