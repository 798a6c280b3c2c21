"""Every failure of a body is an ERROR outcome, and for Celery a FAILURE."""

import asyncio
from typing import Any

import pytest
from celery.exceptions import Ignore, Reject, Retry, WorkerShutdown

from children import Meta, Progress, Status, child_task
from children.errors import ChildError, ChildExit, ResultNotJSON
from tests.children.conftest import Attempt, MemoryHost


class OutOfPaper(Exception):
    """An author's exception class."""


def failing(error: BaseException) -> Any:
    """A child that fails with this error at 2 of 5."""

    @child_task(name="shop.failing")
    def body(progress: Progress) -> None:
        progress.update(2, 5, "printing")
        raise error

    return body


def test_a_direct_call_raises_what_the_body_raises() -> None:
    with pytest.raises(OutOfPaper, match=r"^tray 2$"):
        failing(OutOfPaper("tray 2"))()


def test_an_exception_is_an_error_outcome_and_a_failure(memory_host: MemoryHost) -> None:
    attempt, answer = memory_host.run(failing(OutOfPaper("tray 2")))
    assert attempt.outcome == Meta.at(2, 5, "printing").failed("Error in failing: tray 2")
    assert attempt.traceback is not None
    assert attempt.traceback.startswith("Traceback")
    assert attempt.traceback.endswith("OutOfPaper: tray 2\n")
    assert answer.state == "FAILURE"
    assert isinstance(answer.result, OutOfPaper)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OutOfPaper(), "Error in failing: OutOfPaper"),
        (OutOfPaper("two\nlines"), "Error in failing: two\nlines"),
        (OutOfPaper("a\x00b"), "Error in failing: a\ufffdb"),
        (OutOfPaper("name\udcff.csv"), "Error in failing: name?.csv"),
        (KeyError("größe"), "Error in failing: KeyError: 'größe'"),
    ],
)
def test_every_error_can_be_stored(memory_host: MemoryHost, error: Exception, told: str) -> None:
    attempt, _ = memory_host.run(failing(error))
    assert attempt.outcome.error == told
    assert attempt.traceback is not None
    assert "\x00" not in attempt.traceback
    attempt.traceback.encode("utf-8")


def test_an_exception_whose_str_raises_is_an_outcome(memory_host: MemoryHost) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("I say nothing")

    attempt, answer = memory_host.run(failing(Mute()))
    assert attempt.outcome.error == "Error in failing: Mute"
    assert answer.state == "FAILURE"


def test_an_error_inside_track_says_how_far_it_came(memory_host: MemoryHost) -> None:
    @child_task(name="shop.reads")
    def reads(progress: Progress) -> None:
        for row in progress.track(range(10)):
            if row == 7:
                raise OutOfPaper("tray 2")

    attempt, _ = memory_host.run(reads)
    assert (attempt.outcome.iteration, attempt.outcome.completion) == (7, 70.0)


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ({1, 2}, "Error in returns: the result is not JSON: Object of type set is not JSON"),
        (float("nan"), "Error in returns: the result is not JSON: Out of range float values"),
        ("\x00", "Error in returns: the result is not JSON that can be stored: a text in it"),
    ],
)
def test_a_result_that_is_not_json_is_an_error(
    memory_host: MemoryHost, result: object, why: str
) -> None:
    @child_task(name="shop.returns")
    def returns(progress: Progress) -> object:
        return result

    attempt, answer = memory_host.run(returns)
    assert attempt.outcome.status is Status.ERROR
    assert str(attempt.outcome.error).startswith(why)
    assert isinstance(answer.result, ResultNotJSON)


@pytest.mark.parametrize(("code", "shown"), [(3, "3"), (None, "None"), ("bye", "'bye'")])
def test_sys_exit_ends_the_child_and_not_the_worker(
    memory_host: MemoryHost, code: object, shown: str
) -> None:
    attempt, answer = memory_host.run(failing(SystemExit(code)))
    assert attempt.outcome.error == f"Error in failing: the body called sys.exit({shown})"
    assert isinstance(answer.result, ChildExit)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (asyncio.CancelledError(), "CancelledError"),
        (asyncio.CancelledError("by the loop"), "by the loop"),
        (
            BaseExceptionGroup("several", [GeneratorExit()]),
            "several (1 sub-exception): GeneratorExit",
        ),
    ],
)
def test_a_base_exception_ends_the_child(
    memory_host: MemoryHost, error: BaseException, told: str
) -> None:
    attempt, answer = memory_host.run(failing(error))

    assert attempt.outcome.error == f"Error in failing: {told}"
    assert answer.state == "FAILURE"
    assert answer.result.__cause__ is error


def test_ctrl_c_in_a_terminal_passes_through(memory_host: MemoryHost) -> None:
    attempt = Attempt()
    with pytest.raises(KeyboardInterrupt):
        memory_host.run(failing(KeyboardInterrupt()), attempt=attempt)
    assert attempt.outcomes == []


def test_a_shutdown_of_the_worker_passes_through(memory_host: MemoryHost) -> None:
    attempt = Attempt()
    with pytest.raises(WorkerShutdown):
        memory_host.run(failing(WorkerShutdown(0)), attempt=attempt)
    assert attempt.outcomes == []


@pytest.mark.parametrize("signal", [Ignore(), Reject("no"), Retry("later")])
def test_celerys_own_control_flow_does_not_end_a_step_silently(
    memory_host: MemoryHost, signal: Exception
) -> None:
    attempt, answer = memory_host.run(failing(signal))
    assert attempt.outcome.error == (
        f"Error in failing: a step cannot raise Celery's {type(signal).__name__}; "
        "raise an ordinary exception instead"
    )
    assert isinstance(answer.result, ChildError)


def test_a_plain_task_may_raise_celerys_control_flow_exceptions() -> None:
    assert failing(Ignore()).apply().state == "IGNORED"


def test_a_message_that_is_not_text_does_not_prevent_the_outcome(memory_host: MemoryHost) -> None:
    @child_task(name="shop.says")
    def says(progress: Progress) -> None:
        message: Any = 42
        progress.message(message)
        raise OutOfPaper("tray 2")

    attempt, _ = memory_host.run(says)
    assert attempt.outcome.message == "42"
    assert attempt.outcome.error == "Error in says: tray 2"
