"""Functions that are called a moment later."""

import logging
import os
import threading
import time

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from children.worker import shared_timer
from children.worker.events import Outbox
from children.worker.shared_timer import call_later, cancel
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
    assert not shared_timer._waiting


def test_an_error_in_one_does_not_keep_the_next_from_its_call(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    # That of Celery's tasks tells nobody else, once another test has set up Celery's logs.
    monkeypatch.setattr(shared_timer, "logger", logging.getLogger(__name__))

    def fail() -> None:
        raise ValueError("bad")

    call_later(0.01, fail)
    call_later(0.01, done.set)

    assert done.wait(PATIENCE)
    assert "bad" in caplog.text


class NeverStarts(threading.Thread):
    def start(self) -> None:
        raise RuntimeError("can't start new thread")


def test_a_body_that_replaces_the_timer_keeps_nothing_from_its_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = threading.Event()
    monkeypatch.setattr(threading, "Timer", NeverStarts)
    call_later(0.01, done.set)

    assert done.wait(PATIENCE)


def test_without_room_for_a_thread_it_is_called_with_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = threading.Event(), threading.Event()
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", NeverStarts.start)
        call_later(0.01, first.set)
    call_later(0.01, second.set)

    assert second.wait(PATIENCE)
    assert first.wait(PATIENCE)


def test_a_time_limit_in_the_start_of_a_timer_does_not_keep_the_next_from_its_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def limit(_self: threading.Thread) -> None:
        raise SoftTimeLimitExceeded

    done = threading.Event()
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", limit)
        with pytest.raises(SoftTimeLimitExceeded):
            call_later(0.01, print)
    call_later(0.01, done.set)

    assert done.wait(PATIENCE)


def test_a_time_limit_while_an_event_is_added_does_not_keep_later_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def limit(_self: threading.Thread) -> None:
        raise SoftTimeLimitExceeded

    sent = threading.Event()

    class Told(Outbox):
        def send(self, **_: object) -> None:
            sent.set()

    outbox = Told()
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", limit)
        with pytest.raises(SoftTimeLimitExceeded):
            outbox.add(None, None, "task-started", {})
    shared_timer._waiting.clear()
    outbox.add(None, None, "task-succeeded", {})

    assert sent.wait(PATIENCE)


def test_a_forked_process_calls_what_is_its_own_and_nothing_of_the_other() -> None:
    mine = os.getpid()
    others = call_later(0.05, lambda: os.getpid() == mine or os._exit(1))
    pid = os.fork()
    if pid == 0:
        call_later(0.1, lambda: os._exit(7))
        threading.Event().wait(PATIENCE)
        os._exit(2)
    cancel(others)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
