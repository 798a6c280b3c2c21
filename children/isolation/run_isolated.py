"""Runs a body so that its changes to the process do not affect later bodies."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

from celery.utils.log import get_task_logger

from children.errors import TransactionLeftOpen
from children.isolation.connections import close_connections
from children.isolation.context import context_of_its_own, kept_thread
from children.isolation.process_state import kept_process_state
from children.isolation.sqlite_writer import keeps_the_write_lock

__all__ = ["end_process", "run_isolated"]

T = TypeVar("T")

EXIT_UNUSABLE = 70
"""Exit code of a process that cannot run further bodies: EX_SOFTWARE of sysexits.h."""

logger = get_task_logger(__name__)


def run_isolated(body: Callable[[], T]) -> T:
    """Call `body` in a copy of this context, and clean up after it.

    The process state is restored. The database connections are closed, and with them go locks and
    session settings. If the body forked, the forked process exits here when it returns from the
    body, because the pool does not know it.

    Raises:
        TransactionLeftOpen: the body returned with a transaction open, which is rolled back.
    """
    pid = os.getpid()
    try:
        with kept_process_state(), kept_thread():
            result = context_of_its_own().run(body)
    except BaseException:
        _end_fork(pid, 1)
        _close_connections()
        _exit_if_unusable()
        raise
    _end_fork(pid, 0)
    left_open = _close_connections()
    _exit_if_unusable()
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


def _exit_if_unusable() -> None:
    if kept_process_state.bodies == 0 and keeps_the_write_lock():
        end_process(
            "a task still holds SQLite's write lock after its end, in its own connection or thread"
        )


def end_process(why: str) -> NoReturn:
    """Exit from a process that cannot run further bodies. Its worker ends the step."""
    logger.critical("this process exits: %s", why)
    os._exit(EXIT_UNUSABLE)


def _end_fork(pid: int, status: int) -> None:
    if os.getpid() == pid:
        return
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)
