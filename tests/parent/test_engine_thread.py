"""The engine's thread, beside the one that runs a body."""

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from parent.worker.engine_thread import (
    EngineThread,
    SameThread,
    engine_thread,
    wait_ignoring_interruptions,
)


class TooLong(Exception):
    """The exception that a soft time limit raises, at any point."""


@pytest.fixture
def limit() -> Iterator[None]:
    """Make SIGUSR1 raise, as in a pool process."""

    def too_long(number: int, frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGUSR1, too_long)
    yield
    signal.signal(signal.SIGUSR1, before)


def test_it_is_another_thread_and_always_the_same() -> None:
    thread = EngineThread()
    first, second = (thread.start(threading.get_ident).result() for _ in range(2))

    assert first == second != threading.get_ident()
    assert engine_thread() is engine_thread()


def test_what_a_signal_raises_does_not_break_off_the_work(limit: None) -> None:
    begun, ends = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        ends.wait(10)
        return "done"

    started = EngineThread().start(work)
    begun.wait(10)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    threading.Timer(0.3, ends.set).start()

    assert isinstance(wait_ignoring_interruptions(started), TooLong)
    assert started.result() == "done"


# Python 3.12 warns about forks beside threads, but children do fork.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_one_of_its_own() -> None:
    thread = EngineThread()
    thread.start(os.getpid).result()

    pid = os.fork()
    if pid == 0:
        os._exit(0 if thread.start(os.getpid).result(10) == os.getpid() else 1)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("thread", [SameThread(), EngineThread()], ids=["same", "engine's"])
def test_what_the_work_raises_is_raised_by_its_result(thread: Any) -> None:
    def work() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        thread.start(work).result()
