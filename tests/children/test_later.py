"""Functions that are called a moment later."""

import threading
import time

import pytest

from children.worker import later
from children.worker.later import call_later, cancel
from tests.waiting import PATIENCE


def test_each_is_called_when_its_time_has_come() -> None:
    began, called = time.monotonic(), {}
    done = threading.Event()

    def note(name: str) -> None:
        called[name] = time.monotonic() - began
        if len(called) == 3:
            done.set()

    call_later(0.5, lambda: note("last"))
    call_later(0.02, lambda: note("first"))
    call_later(0.02, lambda: note("first too"))

    assert done.wait(PATIENCE)
    assert called["first"] >= 0.02
    assert called["last"] >= 0.5
    assert list(called)[2] == "last"


def test_what_is_cancelled_is_not_called_and_leaves_nothing() -> None:
    called = threading.Event()
    cancel(call_later(0.01, called.set))
    done = threading.Event()
    number = call_later(0.05, done.set)

    assert done.wait(PATIENCE)
    cancel(number)
    assert not called.is_set()
    assert not later._waiting


def test_an_error_in_one_does_not_keep_the_next_from_its_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done = threading.Event()

    def fail() -> None:
        raise ValueError("bad")

    call_later(0.01, fail)
    call_later(0.01, done.set)

    assert done.wait(PATIENCE)
    assert "bad" in caplog.text
