"""Saves the process state that a body may change, and restores it afterwards.

The list is not complete: it has the state that bodies are known to change. The state of the
context (language, time zone, decimal context) is not in it, because a body runs in a copy of its
context. The random generator is not restored, because it would repeat its numbers.
"""

import decimal
import faulthandler
import gc
import locale
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from celery.utils.log import get_task_logger

from children.isolation.replaced import read_all, write_all

__all__ = ["kept_process_state"]

logger = get_task_logger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of state, with the functions that read and write it."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]


_environ = os.environb
"""Kept here, because a body may replace `os.environb`. Of all parts the environment takes the
longest to read, unless its bytes are copied as they are. `os.environ` has the same data.
"""


def _environment() -> dict[bytes, bytes]:
    copied: dict[bytes, bytes] = _environ._data.copy()  # type: ignore[attr-defined]
    return copied


def _write_environment(before: dict[bytes, bytes]) -> None:
    for name in _environ.keys() - before.keys():
        del _environ[name]
    _environ.update(before)
    time.tzset()  # applies the variable TZ


def _umask() -> int:
    # It can only be read by setting it. The temporary value is strict, because other threads may
    # create files meanwhile.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _timer(name: str, kind: int) -> Part:
    # One from before the body is not set again: its time has passed on meanwhile.
    return Part(name, lambda: any(signal.getitimer(kind)), lambda _: signal.setitimer(kind, 0))


def _write_filters(before: list[Any]) -> None:
    warnings.resetwarnings()  # clears the cache of filters too
    warnings.filters[:] = before  # type: ignore[index]  # a list, though typeshed says Sequence


def _write_collector_callbacks(before: list[Any]) -> None:
    gc.callbacks[:] = before


def _odd_loggers() -> dict[str, tuple[bool, list[Any]]]:
    """Those that are off, or have filters."""
    known = logging.root.manager.loggerDict.copy()
    # `getattr` with a default would take three times as long, for each of hundreds, twice a body.
    return {
        name: (it.disabled, list(it.filters))
        for name, it in known.items()
        if isinstance(it, logging.Logger) and (it.disabled or it.filters)
    }


def _write_odd_loggers(before: dict[str, tuple[bool, list[Any]]]) -> None:
    for name in _odd_loggers().keys() | before.keys():
        logger = logging.getLogger(name)
        logger.disabled, logger.filters = before.get(name, (False, []))


def _root_logger() -> list[Any]:
    """Its handlers with their formats, levels and filters, and whether this thread keeps a lock of
    theirs, for which all others would wait for ever.
    """
    root = logging.root
    found: list[Any] = [(list(root.handlers), list(root.filters))]
    for it in root.handlers:
        is_kept = it.lock is not None and it.lock._is_owned()  # type: ignore[attr-defined]
        found.append((it.formatter, it.level, list(it.filters), is_kept))
    return found


def _write_root_logger(before: list[Any]) -> None:
    logging.root.handlers, logging.root.filters = before[0]
    for it, had in zip(logging.root.handlers, before[1:], strict=True):
        it.formatter, it.level, it.filters, _ = had
        while it.lock is not None and it.lock._is_owned():  # type: ignore[attr-defined]
            it.lock.release()


def _attribute(owner: Any, name: str) -> Part:
    return Part(name, partial(getattr, owner, name), partial(setattr, owner, name))


def _limit(name: str) -> Part:
    kind = getattr(resource, name)
    return Part(name, partial(resource.getrlimit, kind), partial(resource.setrlimit, kind))


def _handler(number: signal.Signals) -> Part:
    return Part(
        f"the handler of {number.name}",
        partial(signal.getsignal, number),
        partial(signal.signal, number),
    )


PARTS = (
    Part("Python's functions and classes", read_all, write_all),  # first: the others need it
    Part("the environment", _environment, _write_environment),
    Part("the time zone", lambda: time.tzname, lambda _: time.tzset()),
    Part("the working directory", os.getcwd, os.chdir),
    Part("the umask", _umask, os.umask),
    _timer("the alarm", signal.ITIMER_REAL),
    _timer("the timer ITIMER_VIRTUAL", signal.ITIMER_VIRTUAL),
    _timer("the timer ITIMER_PROF", signal.ITIMER_PROF),
    Part(
        "the locale",
        partial(locale.setlocale, locale.LC_ALL),
        partial(locale.setlocale, locale.LC_ALL),
    ),
    Part("the default timeout of sockets", socket.getdefaulttimeout, socket.setdefaulttimeout),
    Part("the limit of recursion", sys.getrecursionlimit, sys.setrecursionlimit),
    Part("the stack of threads", threading.stack_size, threading.stack_size),
    Part("the interval of threads", sys.getswitchinterval, sys.setswitchinterval),
    Part("the length of numbers", sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    Part("the garbage collector", gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    Part("the collector's debug flags", gc.get_debug, gc.set_debug),
    Part("the collector's callbacks", lambda: list(gc.callbacks), _write_collector_callbacks),
    Part("the collector's thresholds", gc.get_threshold, lambda given: gc.set_threshold(*given)),
    Part("the processors", partial(os.sched_getaffinity, 0), partial(os.sched_setaffinity, 0)),
    Part("what warnings do", lambda: list(warnings.filters), _write_filters),
    Part("the arguments", lambda: list(sys.argv), partial(setattr, sys, "argv")),
    _attribute(sys, "stdin"),
    _attribute(sys, "stdout"),
    _attribute(sys, "stderr"),
    _attribute(sys, "excepthook"),
    _attribute(threading, "excepthook"),
    _attribute(decimal.DefaultContext, "prec"),
    _attribute(logging.root, "level"),
    Part("where logs go", _root_logger, _write_root_logger),
    Part("which loggers are off or have filters", _odd_loggers, _write_odd_loggers),
    Part("what logging leaves out", lambda: logging.root.manager.disable, logging.disable),
    *(_limit(name) for name in sorted(dir(resource)) if name.startswith("RLIMIT_")),
)
OF_THE_MAIN_THREAD = (
    Part(
        "which signals wait",
        partial(signal.pthread_sigmask, signal.SIG_BLOCK, ()),
        partial(signal.pthread_sigmask, signal.SIG_SETMASK),
    ),
    *(
        _handler(number)
        for number in (
            *(signal.SIGALRM, signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE),
            *(signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2),
        )
    ),
)
"""Only the main thread can set these."""


class _StateRestorer:
    """Saves the state before the first of concurrent bodies, restores it after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.bodies = 0
        self._before: list[tuple[Part, Any]] = []

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            self.bodies += 1
            if self.bodies == 1:
                self._before = _read()
        try:
            yield
        finally:
            with self._lock:
                self.bodies -= 1
                if self.bodies == 0:
                    _restore(self._before)


kept_process_state = _StateRestorer()
"""A context manager that restores the state when the last concurrent body has ended. Earlier, on a
pool of threads, it would change the state of bodies that still run.
"""


def _read() -> list[tuple[Part, Any]]:
    parts = PARTS
    if threading.current_thread() is threading.main_thread():
        parts += OF_THE_MAIN_THREAD
    found = []
    for part in parts:
        try:
            found.append((part, part.read()))
        except OSError:  # the working directory was deleted
            continue
    return found


def _restore(before: list[tuple[Part, Any]]) -> None:
    faulthandler.cancel_dump_traceback_later()  # it may exit; nobody can ask whether there is one
    notes = []
    for part, value in before:
        if not _is_changed(part, value):
            continue
        try:
            part.write(value)
        except Exception as exc:
            notes.append((logging.WARNING, part.name, f"cannot be restored: {exc}"))
        else:
            notes.append((logging.INFO, part.name, "is restored"))
    for level, name, end in notes:  # only now: a body may have changed how logs are written
        logger.log(level, "%s was changed by a task, and %s", name, end)


def _is_changed(part: Part, before: Any) -> bool:
    try:
        return bool(part.read() != before)
    except Exception:  # it is not there any more
        return True
