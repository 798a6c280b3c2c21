"""Functions and values that only a run would find wrong: a check does at start-up."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from children import Progress, child_task
from parent import Approval, Concurrency, Map, RunData, Signal, Step, Workflow
from parent.checks import check_workflows
from parent.models import Step as Row

pytestmark = pytest.mark.usefixtures("own_registry")


@child_task(name="checked.takes_all")
def takes_all(progress: Progress, **inputs: Any) -> None: ...


def found() -> list[str]:
    return [message.msg for message in check_workflows()]


def of_two(run: RunData, other: int) -> Any: ...


def of_none() -> Any: ...


def by_name(*, run: RunData) -> Any: ...


async def later(run: RunData) -> Any: ...


async def later_yields(run: RunData) -> AsyncIterator[Any]:
    yield run


def yields(run: RunData) -> Iterator[Any]:
    yield run


def no_items(_run: RunData) -> list[Any]:
    return []


class Awaited:
    async def __call__(self, run: RunData) -> Any: ...


class Asked:
    def __call__(self, run: RunData) -> Any: ...

    def of_run(self, run: RunData) -> Any: ...

    def of_two(self, run: RunData, other: int) -> Any: ...


WRONG: dict[str, tuple[Any, str]] = {
    "two arguments": (of_two, "cannot be called: missing a required argument: 'other'"),
    "no argument": (of_none, "cannot be called: too many positional arguments"),
    "by name": (by_name, "cannot be called: too many positional arguments"),
    "a method": (Asked().of_two, "cannot be called: missing a required argument: 'other'"),
    "a partial": (partial(of_none), "cannot be called: too many positional arguments"),
    "async": (later, "is a coroutine function (`async def`), and nobody awaits it"),
    "an async partial": (partial(later), "is a coroutine function (`async def`)"),
    "an async generator": (later_yields, "is a coroutine function (`async def`)"),
    "an async object": (Awaited(), "is a coroutine function (`async def`)"),
}
RIGHT: dict[str, Any] = {
    "a function": lambda _run: {},
    "with a default": lambda _run, _other=5: {},
    "of any": lambda *_all: {},
    "a partial": partial(of_two, other=5),
    "a method": Asked().of_run,
    "an object": Asked(),
    "of C": dict,
}


def declare(where: str, function: Any) -> None:
    options: dict[str, Any] = {}
    step = Step(takes_all, name="a")
    match where:
        case "inputs of step 'a'":
            step = Step(takes_all, name="a", inputs=function)
        case "over of step 'a'":
            step = Map(takes_all, name="a", over=function)
        case "key of step 'a'":
            step = Map(takes_all, name="a", over=lambda _run: [], key=function)
        case "its result":
            options = {"result": function}
        case _:
            options = {"concurrency": Concurrency(key=function)}
    Workflow("odd", steps=[step], **options)


EACH = ["inputs of step 'a'", "over of step 'a'", "key of step 'a'"]
EACH += ["its result", "the key of its concurrency"]


@pytest.mark.parametrize("where", EACH)
@pytest.mark.parametrize(("function", "tells"), WRONG.values(), ids=WRONG)
def test_a_function_that_cannot_be_called_is_an_error(
    where: str, function: Any, tells: str
) -> None:
    declare(where, function)

    (problem,) = found()
    assert problem.startswith(f"Workflow 'odd': {where} {tells}")


@pytest.mark.parametrize("where", EACH)
@pytest.mark.parametrize("function", RIGHT.values(), ids=RIGHT)
def test_a_function_of_one_argument_is_none(where: str, function: Any) -> None:
    declare(where, function)

    assert found() == []


@pytest.mark.parametrize("where", EACH)
def test_only_items_may_come_one_by_one(where: str) -> None:
    declare(where, yields)

    assert [where in problem for problem in found()] == ([] if where[:4] == "over" else [True])


def longest(column: str) -> int:
    field: Any = Row._meta.get_field(column)
    return int(field.max_length)


@child_task(name="n" * (longest("task") + 1))
def with_a_long_name(progress: Progress) -> None: ...


TOO_LARGE: dict[str, tuple[Callable[[], Step], str]] = {
    "a queue": (
        lambda: Step(takes_all, name="a", queue="q" * (longest("queue") + 1)),
        "step 'a' has a queue with a name of 256 characters",
    ),
    "a task": (
        lambda: Step(with_a_long_name, name="a"),
        "step 'a' has a task with a name of 256 characters",
    ),
    "a share": (
        lambda: Map(
            takes_all, name="a", over=no_items, tolerate=f"{'5'.zfill(longest('tolerate'))}%"
        ),
        "step 'a' has a tolerate of 21 characters",
    ),
    "a number": (
        lambda: Map(takes_all, name="a", over=no_items, tolerate=10**20),
        "step 'a' has a tolerate of 21 characters",
    ),
    "a size": (
        lambda: Map(takes_all, name="a", over=no_items, max_active=2**31),
        "step 'a' has max_active=2147483648",
    ),
    "half a retry": (
        lambda: Step(takes_all, name="a", retries=2.5),  # type: ignore[arg-type]
        "step 'a' has retries=2.5",
    ),
    "half a priority": (
        lambda: Step(takes_all, name="a", priority=2.0),  # type: ignore[arg-type]
        "step 'a' has priority=2.0",
    ),
}


@pytest.mark.parametrize(("step", "tells"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_no_column_holds_is_an_error(step: Callable[[], Step], tells: str) -> None:
    Workflow("odd", steps=[step()])

    assert found() == [f"Workflow 'odd': {tells}."]


@pytest.mark.parametrize("name", ["a/b", "/", ".", ".."])
def test_a_name_that_stands_in_a_url_fits_there(name: str) -> None:
    Workflow("decided", steps=[Approval(name)])
    Workflow("given", steps=[Step(takes_all, after=[name])], signals=[Signal(name)])
    Workflow("fed", steps=[Map(takes_all, name="a", over=Signal(name))])
    Workflow("over_items", steps=[Map(takes_all, name=name, over=lambda _run: [])])
    Workflow("once", steps=[Step(takes_all, name=name)])

    assert [problem.partition(":")[0] for problem in found()] == [
        f"Workflow '{workflow}'" for workflow in ("decided", "fed", "given", "over_items")
    ]
    assert all("cannot stand in the URL" in problem for problem in found())
