"""A body's changes to its process do not affect later bodies."""

import asyncio
import gc
import io
import locale
import logging.config
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest

from children.isolation.process_state import OF_THE_MAIN_THREAD, PARTS, kept_process_state
from children.isolation.replaced import OWNERS
from children.isolation.run_isolated import run_isolated


def in_tokyo() -> None:
    """Changes only the C library's state."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before


def nothing(*_: Any, **__: Any) -> Any:
    raise AssertionError("a body has put this here")


def keep_a_lock_of_the_logs() -> None:
    logging.root.handlers[0].acquire()


CHANGES: dict[str, Callable[[], Any]] = {
    "the environment": lambda: os.environ.update({"TZ": "Asia/Tokyo", "OWN": "1", "PATH": ""}),
    "an environment that is empty": os.environ.clear,
    "the time zone alone": in_tokyo,
    "the working directory": lambda: os.chdir("/"),
    "the umask": lambda: os.umask(0o777),
    "an alarm": lambda: signal.alarm(60),
    "a timer of its processor time": lambda: signal.setitimer(signal.ITIMER_PROF, 60),
    "a timer of its own processor time": lambda: signal.setitimer(signal.ITIMER_VIRTUAL, 60),
    "the arguments": lambda: setattr(sys, "argv", ["other"]),
    "the arguments in their list": sys.argv.clear,
    "a logger": lambda: setattr(logging.getLogger("celery"), "disabled", True),
    "all loggers": lambda: logging.config.dictConfig({"version": 1}),
    "no standard output": lambda: delattr(sys, "stdout"),
    "no handlers of logs": lambda: setattr(logging.root, "handlers", None),
    "a locale": lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
    "the timeout of sockets": lambda: socket.setdefaulttimeout(0.001),
    "recursion": lambda: sys.setrecursionlimit(50_000),
    "the garbage collector": gc.disable,
    "what the garbage collector tells": lambda: gc.set_debug(gc.DEBUG_STATS),
    "whom the garbage collector calls": lambda: gc.callbacks.append(nothing),
    "the stack of threads": lambda: threading.stack_size(1 << 20),
    "warnings": lambda: warnings.simplefilter("ignore"),
    "logging": lambda: logging.disable(logging.CRITICAL),
    "a filter of a logger": lambda: logging.getLogger("celery").addFilter(nothing),
    "a filter of all logs": lambda: logging.root.addFilter(nothing),
    "a filter where logs go": lambda: logging.root.handlers[0].addFilter(nothing),
    "no filters where logs go": lambda: setattr(logging.root.handlers[0], "filters", None),
    "where logs are written": lambda: logging.root.handlers[0].setFormatter(None),
    "what of the logs is written": lambda: logging.root.handlers[0].setLevel(logging.CRITICAL),
    "a lock of the logs": keep_a_lock_of_the_logs,
    "where logs go": lambda: logging.basicConfig(force=True),
    "standard output": lambda: setattr(sys, "stdout", io.StringIO()),
    "a limit of files": lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    ),
    "signals that are ignored": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "signals that wait": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}),
}


def state() -> dict[str, Any]:
    return {part.name: part.read() for part in (*PARTS, *OF_THE_MAIN_THREAD)}


@pytest.fixture(autouse=True)
def _no_timer_of_pytest() -> Any:
    """The runner's own limit is an alarm too."""
    timer = signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.setitimer(signal.ITIMER_REAL, *timer)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("fails", [False, True], ids=["returns", "fails"])
def test_process_state_that_a_body_changed_is_restored(
    change: Callable[[], Any], fails: bool
) -> None:
    before = state()

    def body() -> None:
        change()
        if fails:
            raise ValueError("it fails as well")

    if fails:
        with pytest.raises(ValueError, match="as well"):
            run_isolated(body)
    else:
        run_isolated(body)

    assert state() == before


def has(owner: Any) -> dict[str, Any]:
    return dict(vars(owner))


@pytest.mark.parametrize(
    ("owner", "name"),
    [(owner, name) for owner, names in OWNERS for name in names.split()],
    ids=lambda given: getattr(given, "__name__", given),
)
@pytest.mark.parametrize("how", ["replaced", "deleted"])
def test_what_python_has_is_there_again(owner: Any, name: str, how: str) -> None:
    before = has(owner)

    def body() -> None:
        if how == "replaced":
            setattr(owner, name, nothing)
        else:
            delattr(owner, name)

    run_isolated(body)

    after = has(owner)
    assert {key for key in before if before[key] is not after.get(key, nothing)} == set()


def test_all_of_it_at_once() -> None:
    before = [has(owner) for owner, _ in OWNERS]

    def body() -> None:
        for owner, names in OWNERS:
            for name in names.split():
                setattr(owner, name, nothing)

    run_isolated(body)

    assert [has(owner) for owner, _ in OWNERS] == before


def test_a_watchdog_that_a_body_left_does_not_end_the_process() -> None:
    code = """
import faulthandler, time
from children.isolation.run_isolated import run_isolated
run_isolated(lambda: faulthandler.dump_traceback_later(0.05, exit=True))
time.sleep(0.2)
print("goes on")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "goes on\n", done.stderr


LEFT: dict[str, Callable[[], Any]] = {
    "a profiler": lambda: sys.setprofile(lambda *_: None),
    "a tracer": lambda: sys.settrace(lambda *_: None),
    "an event loop": lambda: asyncio._set_running_loop(Mock()),
}


def state_of_thread() -> list[Any]:
    return [sys.getprofile(), sys.gettrace(), asyncio._get_running_loop()]


@pytest.mark.parametrize("leave", LEFT.values(), ids=LEFT)
def test_what_a_body_leaves_in_its_thread_is_gone_while_others_go_on(
    leave: Callable[[], Any],
) -> None:
    before = state_of_thread()

    with kept_process_state():
        run_isolated(leave)

    assert state_of_thread() == before


def test_state_that_cannot_be_restored_does_not_stop_the_rest(tmp_path: Any) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    here = os.getcwd()
    os.chdir(gone)
    try:

        def body() -> None:
            gone.rmdir()
            os.chdir("/")
            os.umask(0)

        mask = os.umask(0o022)
        run_isolated(body)
        assert os.umask(mask) == 0o022
    finally:
        os.chdir(here)


def test_the_last_of_concurrent_bodies_restores_the_state() -> None:
    before, changed, goes_on = os.getcwd(), threading.Event(), threading.Event()

    def first() -> None:
        os.chdir("/")
        changed.set()
        goes_on.wait(10)

    thread = threading.Thread(target=run_isolated, args=(first,))
    thread.start()
    changed.wait(10)
    run_isolated(lambda: None)

    assert os.getcwd() == "/", "the first one is still at work there"
    goes_on.set()
    thread.join()
    assert os.getcwd() == before
    assert kept_process_state.bodies == 0


# Python 3.12 warns about a fork in a process with threads. Authors' bodies do it anyway.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_exits_when_it_returns_from_the_body() -> None:
    reader, writer = os.pipe()
    here = os.getpid()

    pid = run_isolated(os.fork)
    os.write(writer, f"{os.getpid()} ".encode())
    os.close(writer)

    _, status = os.waitpid(pid, 0)
    assert os.WEXITSTATUS(status) == 0
    with os.fdopen(reader) as told:
        assert told.read() == f"{here} ", "the fork has not come this far"
