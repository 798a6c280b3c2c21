"""Running a body so that nothing it does to its surroundings reaches those that come after it."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

from celery.utils.log import get_task_logger

from children.errors import TransactionLeftOpen
from children.isolation.connections import close_connections
from children.isolation.context import context_of_its_own
from children.isolation.process_state import kept_process_state
from children.isolation.sqlite_writer import keeps_the_write_lock

__all__ = ["end_process", "run_isolated"]

T = TypeVar("T")

SPOILED = 70
"""What a process exits with that cannot go on: EX_SOFTWARE of sysexits.h."""

logger = get_task_logger(__name__)


def run_isolated(body: Callable[[], T]) -> T:
    """Call `body` in a copy of this context, and tidy up after it.

    What it changed of the process is put back, and its database connections are closed: what it
    left in them, a lock or a setting, ends with it. A process that it forked, and that comes back
    from it as well, ends here: the pool knows nothing of that process.

    Raises:
        TransactionLeftOpen: it returned in the middle of a transaction, which is rolled back.
    """
    pid = os.getpid()
    try:
        with kept_process_state():
            result = context_of_its_own().run(body)
    except BaseException:
        _end_fork(pid, 1)
        _close_connections()
        _go_if_spoiled()
        raise
    _end_fork(pid, 0)
    left_open = _close_connections()
    _go_if_spoiled()
    if left_open:
        raise TransactionLeftOpen(
            f"it returned in the middle of a transaction on the database {left_open[0]!r}, which "
            "was rolled back: commit it, or use transaction.atomic() as a context manager"
        )
    return result


def _close_connections() -> list[str]:
    left_open = close_connections()
    for alias in left_open:
        logger.warning("a transaction on %r was left open, and is rolled back", alias)
    return left_open


def _go_if_spoiled() -> None:
    if kept_process_state.bodies == 0 and keeps_the_write_lock():
        end_process(
            "a task has kept SQLite's write lock beyond its end, in a connection or a thread of "
            "its own"
        )


def end_process(why: str) -> NoReturn:
    """End a process that a body has spoiled for those to come. Its worker ends the step."""
    logger.critical("this process exits: %s", why)
    os._exit(SPOILED)


def _end_fork(pid: int, status: int) -> None:
    if os.getpid() == pid:
        return
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)
