"""A declaration either works, or the error says what to write instead."""

import decimal
import functools
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date
from enum import StrEnum
from typing import Any, Optional, Protocol
from uuid import UUID

import pytest
from celery import Task, shared_task

from children import ChildTask, Progress, Status, child_task, host
from children.checks import check_children
from tests.children.conftest import Attempt, MemoryHost


def told() -> list[tuple[str, str, str]]:
    """Each message of the check as (id, text, hint)."""
    return [(str(found.id), found.msg, str(found.hint)) for found in check_children()]


class Reports(Protocol):
    def update(self, iteration: int) -> None: ...


class Size(StrEnum):
    LARGE = "large"


def double(progress: Progress, n: int) -> int:
    progress.update(n)
    return 2 * n


class Doubling:
    def __init__(self, by: int) -> None:
        self.by = by

    def double(self, progress: Progress, n: int) -> int:
        return self.by * double(progress, n) // 2

    @staticmethod
    def static(progress: Progress, n: int) -> int:
        return double(progress, n)

    @classmethod
    def of_class(cls, progress: Progress, n: int) -> int:
        return double(progress, n)


def bound(self: Any, progress: Progress, n: int) -> int:
    return 2 * n if self.name == "shop.double" else 0


def progress_by_place(progress: Progress, /, n: int) -> int:
    return 2 * n


def another_name(report: Progress, *, n: int, **_: Any) -> int:
    return 2 * n


def whatever(*args: Any, **kwargs: Any) -> int:
    return 2 * int(kwargs["n"]) if isinstance(args[0], Progress) else 0


def a_progress_in_quotes(p: "Progress", n: "int") -> int:
    return 2 * n


def a_protocol(p: Reports, n: int) -> int:
    return 2 * n


def an_optional_progress(p: Progress | None, n: int) -> int:
    return 2 * n


def an_optional_progress_in_quotes(p: "Progress | None", n: int) -> int:
    return 2 * n


def anything(p: Any, n: int) -> int:
    return 2 * n


def an_object(p: object, n: int) -> int:
    return 2 * n


def an_unknown_name(p: "NoSuchName", n: int) -> int:  # type: ignore[name-defined]  # noqa: F821
    return 2 * n


class Run(ChildTask):
    def run(self, progress: Progress, n: int) -> int:
        return double(progress, n) if self.name == "shop.double" else 0


class StaticRun(ChildTask):
    @staticmethod
    def run(progress: Progress, n: int) -> int:
        return double(progress, n)


class ClassRun(ChildTask):
    @classmethod
    def run(cls, progress: Progress, n: int) -> int:
        return double(progress, n)


BODIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "a function": (double, {}),
    "a bound function": (bound, {"bind": True}),
    "a static method": (staticmethod(double), {}),
    "the static method of a class": (Doubling.static, {}),
    "the class method of a class": (Doubling.of_class, {}),
    "the method of an object": (Doubling(2).double, {}),
    "a progress that comes by place": (progress_by_place, {}),
    "a progress by another name": (another_name, {}),
    "a progress in quotes": (a_progress_in_quotes, {}),
    "any arguments": (whatever, {}),
    "a progress by a protocol": (a_protocol, {}),
    "a progress that may be None": (an_optional_progress, {}),
    "a progress that may be None, in quotes": (an_optional_progress_in_quotes, {}),
    "a progress that is anything": (anything, {}),
    "a progress that is an object": (an_object, {}),
    "a progress of an unknown name": (an_unknown_name, {}),
    "a class": (Run, {}),
    "a bound class": (Run, {"bind": True}),
    "a class with a static run": (StaticRun, {}),
    "a class with a run of the class": (ClassRun, {}),
    "a base of its own": (bound, {"bind": True, "base": Run}),
    "no checks of arguments": (double, {"typing": False}),
    "no stored result": (double, {"ignore_result": True}),
    "a late acknowledgement": (double, {"acks_late": True, "reject_on_worker_lost": True}),
    "no trail": (double, {"trail": False}),
    "JSON by name": (double, {"serializer": "json"}),
    "limits": (double, {"time_limit": 60, "soft_time_limit": 50, "rate_limit": "100/s"}),
}


@pytest.mark.parametrize("body", BODIES)
def test_a_valid_declaration_runs(memory_host: MemoryHost, body: str) -> None:
    given, options = BODIES[body]
    task = child_task(name="shop.double", **options)(given)

    attempt, answer = memory_host.run(task, n=4)

    assert attempt.outcome.result == 8
    assert answer.state == "SUCCESS"
    assert task(n=3) == 6
    assert task.apply(kwargs={"n": 3}).result["result"] == 6
    assert (told(), task.step_problems) == ([], ())
    task.__header__(n=3)


def test_an_input_may_be_called_self(memory_host: MemoryHost) -> None:
    @child_task(name="shop.about")
    def about(progress: Progress, self: int) -> int:
        return self

    headers: Any = {host.HEADER: (attempt := Attempt())}
    about.apply(kwargs={"self": 5}, headers=headers)
    assert (attempt.outcome.result, told()) == (5, [])


def test_an_expected_error_is_an_outcome_like_any_other(memory_host: MemoryHost) -> None:
    @child_task(name="shop.throws", throws=(OSError,))
    def throws(progress: Progress) -> None:
        raise OSError("no paper left")

    attempt, answer = memory_host.run(throws)
    assert attempt.outcome.error == "Error in throws: no paper left"
    assert answer.state == "FAILURE"


def nothing() -> None: ...
def progress_by_name(*, progress: Progress) -> None: ...
def a_method(self: Any, progress: Progress, n: int) -> None: ...
def only_self(self: Any) -> None: ...
def progress_last(n: int, progress: Progress) -> None: ...
def progress_last_and_plain(n, progress): ...  # type: ignore[no-untyped-def]
def no_progress(n: int) -> None: ...
def no_progress_but_a_list(names: list[str]) -> None: ...
def no_progress_in_quotes(names: "dict[str, int]") -> None: ...
def no_progress_but_a_date(when: date) -> None: ...
def no_progress_but_a_class_in_quotes(price: "decimal.Decimal") -> None: ...
def no_progress_but_an_optional(limit: int | None) -> None: ...
def no_progress_but_an_optional_in_quotes(limit: "int | None") -> None: ...
def no_progress_but_an_older_optional(limit: Optional[UUID]) -> None: ...  # noqa: UP045
def no_progress_but_a_sequence(names: Sequence[str]) -> None: ...
def no_progress_but_an_enum(size: Size) -> None: ...
def by_place(progress: Progress, n: int, /) -> None: ...
def yields(progress: Progress) -> Iterator[int]:
    yield 1


async def yields_later(progress: Progress) -> AsyncIterator[int]:
    yield 1


FIRST = "Let it be the first parameter: def total(progress, prices): ..."
WRONG_FIRST = "Let progress be the first parameter: def total(progress, prices): ..."
REPORT = "Call progress.update(...) instead of each yield, and return the result."


@pytest.mark.parametrize(
    ("body", "problem", "hint"),
    [
        (nothing, "its body takes no progress", FIRST),
        (progress_by_name, "its body takes no progress", FIRST),
        (
            a_method,
            "its first parameter is self, but it is not a method",
            "Write @child_task(bind=True) to get the task there, or leave self out.",
        ),
        (progress_last, "its body takes 'n' where the progress comes", WRONG_FIRST),
        (progress_last_and_plain, "its body takes 'n' where the progress comes", WRONG_FIRST),
        (no_progress, "its body takes 'n' where the progress comes", WRONG_FIRST),
        (no_progress_but_a_list, "its body takes 'names' where the progress comes", WRONG_FIRST),
        (no_progress_in_quotes, "its body takes 'names' where the progress comes", WRONG_FIRST),
        (no_progress_but_a_date, "its body takes 'when' where the progress comes", WRONG_FIRST),
        (
            no_progress_but_a_class_in_quotes,
            "its body takes 'price' where the progress comes",
            WRONG_FIRST,
        ),
        (
            no_progress_but_an_optional,
            "its body takes 'limit' where the progress comes",
            WRONG_FIRST,
        ),
        (
            no_progress_but_an_optional_in_quotes,
            "its body takes 'limit' where the progress comes",
            WRONG_FIRST,
        ),
        (
            no_progress_but_an_older_optional,
            "its body takes 'limit' where the progress comes",
            WRONG_FIRST,
        ),
        (
            no_progress_but_a_sequence,
            "its body takes 'names' where the progress comes",
            WRONG_FIRST,
        ),
        (no_progress_but_an_enum, "its body takes 'size' where the progress comes", WRONG_FIRST),
        (
            by_place,
            "its input 'n' is positional-only, and inputs come by name",
            "Put the / right after progress, or leave it out.",
        ),
        (yields, "its body is a generator, whose values would be lost", REPORT),
        (yields_later, "its body is a generator, whose values would be lost", REPORT),
    ],
)
def test_a_body_that_cannot_run_is_reported(body: Any, problem: str, hint: str) -> None:
    child_task(name="shop.total")(body)
    assert told() == [("children.E001", f"Child 'shop.total': {problem}.", hint)]


def test_a_bound_body_without_progress_is_reported() -> None:
    child_task(name="shop.total", bind=True)(only_self)
    assert [text for _, text, _ in told()] == ["Child 'shop.total': its body takes no progress."]


class NoBody(ChildTask): ...


class OtherTask(Task): ...  # type: ignore[type-arg]


@pytest.mark.parametrize(
    ("body", "options", "why"),
    [
        (functools.partial(double, n=1), {}, r"has no name of its own: write a function"),
        (Doubling(2), {}, r"is not a function: write @child_task\(name="),
        ("shop.total", {}, r"'shop.total' is not a function: write @child_task\(name="),
        (lambda progress: progress, {}, "has no name of its own: write a function"),
        (double, {"pydantic": True}, "remove pydantic=True"),
        (classmethod(double), {}, "a classmethod has no class yet"),  # type: ignore[arg-type]
        (Doubling(2).double, {"bind": True}, "double is bound to an object: remove bind=True"),
        (
            double,
            {"base": OtherTask},
            r"OtherTask is not a ChildTask: write class OtherTask\(Child",
        ),
        (OtherTask, {}, r"OtherTask is not a ChildTask: write class OtherTask\(ChildTask\)"),
        (NoBody, {}, r"NoBody has no body: write def run\(self, progress, \.\.\.\)"),
    ],
)
def test_a_body_that_cannot_be_a_child_is_refused(
    body: Any, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(TypeError, match=why):
        child_task(**{"name": "shop.total"} | options)(body)


def test_a_second_decorator_is_refused() -> None:
    with pytest.raises(TypeError, match="more than once"):
        child_task(name="shop.twice")(shared_task(name="shop.once")(double))


def test_a_reserved_name_is_refused_before_anything_is_sent() -> None:
    task = child_task(name="shop.double")(double)
    with pytest.raises(TypeError, match="multiple values for argument 'progress'"):
        task.apply_async(kwargs={"n": 1, "progress": 5})


class Asks(Exception): ...


@pytest.mark.parametrize(
    ("asked", "message", "delay"),
    [
        ({}, "it asked for a retry", None),
        ({"exc": Asks("no answer yet"), "countdown": 5}, "no answer yet", 5),
        ({"exc": KeyError("a")}, "KeyError: 'a'", None),
    ],
    ids=["without a reason", "with a delay", "with a reason"],
)
def test_celerys_retry_asks_the_step_for_a_retry(
    memory_host: MemoryHost, asked: dict[str, Any], message: str, delay: float | None
) -> None:
    @child_task(name="shop.asks", bind=True)
    def asks(self: Any, progress: Progress) -> None:
        raise self.retry(**asked)

    attempt, _ = memory_host.run(asks, attempt=(kept := KeptError()))

    assert attempt.outcome.status is Status.ERROR
    assert attempt.outcome.error == f"Error in asks: {message}"
    assert (type(kept.error).__name__, kept.error.delay) == ("RetryAsked", delay)


class KeptError(Attempt):
    """Records what the body raised."""

    error: Any = None

    def finish(self, outcome: Any, traceback: Any = None, error: Any = None) -> bool:
        self.error = error
        return super().finish(outcome, traceback, error)
