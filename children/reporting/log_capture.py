"""Captures what a body writes through `logging`, beside the handlers that are there already."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from children.reporting.log_buffer import LogBuffer

__all__ = ["captured_log"]

PRINTED = "celery.redirected"
"""Celery's logger of what is printed in a worker (`worker_redirect_stdouts`)."""
NOT_PROPAGATING = ("celery.task",)
"""Loggers of Celery's that end here, so the root's handlers do not see their records."""

_buffer: ContextVar[LogBuffer | None] = ContextVar("log_buffer", default=None)
_buffer_here = _buffer.get  # one look-up less for each line


class _Handler(logging.Handler):
    """Gives each record to the buffer of the body in whose context it was logged."""

    def handle(self, record: logging.LogRecord) -> bool:
        """In place of `emit`, for this is without the handler's lock: a buffer has its own."""
        buffer = _buffer_here()
        if buffer is None or record.levelno < buffer.level:
            return True
        try:
            text = record.getMessage()
            if record.exc_info:
                text = f"{text}\n{_formatter.formatException(record.exc_info)}"
            name = "print" if record.name == PRINTED else record.name
            buffer.add(record.created, record.levelno, name, text)
        except Exception:
            self.handleError(record)
        return True


_formatter = logging.Formatter()
_handler = _Handler()


@contextmanager
def captured_log(buffer: LogBuffer | None) -> Iterator[None]:
    """Give what is logged in this context to the buffer too; None captures nothing.

    A thread that the body starts has a context of its own: it is captured if it runs in a copy of
    the body's (`contextvars.copy_context().run`).
    """
    if buffer is None:
        yield
        return
    for logger in (logging.root, *map(logging.getLogger, NOT_PROPAGATING)):
        if (logger is logging.root or not logger.propagate) and _handler not in logger.handlers:
            logger.addHandler(_handler)
    token = _buffer.set(buffer)
    try:
        yield
    finally:
        _buffer.reset(token)
