"""Functions of an author that raise what would end a process: the run fails, and nothing else."""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from rest_framework.serializers import JSONField, Serializer

from children import Progress, child_task
from parent import Concurrency, Map, Step, Workflow
from parent.definition.workflow import registry
from parent.errors import InvalidParams
from parent.inline import run_inline
from parent.models import Item, Run, RunState, StepState
from parent.runs.start import start
from tests.flows import tasks
from tests.flows.odd_ends import RAISED as RAISED_BY_BODIES
from tests.flows.odd_ends import MadeOnce, ReprExits

pytestmark = pytest.mark.django_db(transaction=True)

RAISED = {
    "exit": (SystemExit(3), "sys.exit(3)"),
    "generator": (GeneratorExit("closed"), "closed"),
    "cancelled": (asyncio.CancelledError("away"), "away"),
}


@pytest.fixture(params=RAISED)
def raised(request: pytest.FixtureRequest) -> Iterator[tuple[BaseException, str]]:
    yield RAISED[request.param]
    registry._workflows.pop("ends", None)


class Given(Serializer[None]):
    a = JSONField()


@child_task(name="ends.takes_any")
def takes_any(progress: Progress, a: Any) -> None:
    """Do nothing."""


def failing(error: BaseException) -> Any:
    def fail(*_: Any) -> NoReturn:
        raise error

    return fail


def steps_of(where: str, fail: Any) -> list[Step]:
    each: dict[str, Any] = {"over": lambda _: [{"a": 1}], "key": lambda item: item["a"]}
    match where:
        case "inputs":
            return [Step(tasks.noop, name="first", inputs=fail)]
        case "over" | "key":
            return [Map(tasks.divide, name="first", **(each | {where: fail}))]
    return [Step(tasks.noop, name="first")]


@pytest.mark.parametrize("where", ["inputs", "over", "key", "result"])
def test_the_run_fails(raised: tuple[BaseException, str], where: str) -> None:
    error, text = raised
    result = failing(error) if where == "result" else None
    workflow = Workflow("ends", steps=steps_of(where, failing(error)), result=result)

    run = run_inline(workflow)

    assert run.state == RunState.FAILURE
    assert text in str(run.error)
    ended = StepState.OK if where == "result" else StepState.ERROR
    assert run.steps.get().state == ended
    assert not Item.objects.exists()


ODD = {name: RAISED_BY_BODIES[name] for name in RAISED_BY_BODIES if name != "interrupt"}


@pytest.mark.parametrize(("make", "text"), ODD.values(), ids=ODD)
@pytest.mark.parametrize("where", ["inputs", "over", "key", "result"])
def test_whatever_they_raise_is_an_error_of_theirs(
    monkeypatch: pytest.MonkeyPatch, own_registry: None, where: str, make: Any, text: str
) -> None:
    monkeypatch.setattr(MadeOnce, "made", False)

    def fail(*_: Any) -> NoReturn:
        raise make()

    result = fail if where == "result" else None
    run = run_inline(Workflow("ends", steps=steps_of(where, fail), result=result))

    assert run.state == RunState.FAILURE
    assert text.removeprefix("the body ").split(":")[0] in str(run.error)


def test_a_start_says_what_the_key_of_its_limit_raised(own_registry: None) -> None:
    limit = Concurrency(key=failing(ReprExits("it has no repr")), limit=1)
    with pytest.raises(InvalidParams, match=r"could not be made: .*it has no repr"):
        start(Workflow("ends", steps=[Step(tasks.noop)], concurrency=limit), {})


class Exits(dict[str, Any]):
    """What an author's function returns: one of its methods is an author's code too."""

    def __init__(self, method: str) -> None:
        super().__init__(a=1)
        self.method = method

    def exit(self, method: str) -> None:
        if self.method == method:
            sys.exit(3)

    def __iter__(self) -> Iterator[str]:
        self.exit("__iter__")
        return super().__iter__()

    def keys(self) -> Any:
        self.exit("keys")
        return super().keys()

    def items(self) -> Any:
        self.exit("items")
        return super().items()

    def values(self) -> Any:
        self.exit("values")
        return super().values()


@pytest.mark.parametrize("inner", [False, True], ids=["itself", "a value in it"])
@pytest.mark.parametrize("method", ["__iter__", "keys", "items", "values"])
@pytest.mark.parametrize("kind", ["step", "nested", "map", "result"])
def test_nor_does_what_they_return(own_registry: None, kind: str, method: str, inner: bool) -> None:
    def give(*_: Any) -> Any:
        return {"a": Exits(method)} if inner else Exits(method)

    inside = Workflow("inside", params=Given, steps=[Step(takes_any)])
    steps: dict[str, list[Step]] = {
        "step": [Step(takes_any, inputs=give)],
        "nested": [Step(inside, inputs=give)],
        "map": [Map(takes_any, over=lambda _: [give()])],
        "result": [Step(tasks.noop)],
    }
    workflow = Workflow("ends", steps=steps[kind], result=give if kind == "result" else None)

    run = run_inline(workflow)

    assert run.state == RunState.SUCCESS or "sys.exit(3)" in str(run.error)


def test_a_start_is_refused(raised: tuple[BaseException, str]) -> None:
    error, text = raised
    limit = Concurrency(key=failing(error), limit=1)
    workflow = Workflow("ends", steps=[Step(tasks.noop)], concurrency=limit)

    with pytest.raises(InvalidParams) as refused:
        start(workflow, {})

    assert text in str(refused.value)
    assert not Run.objects.exists()


def test_ctrl_c_reaches_the_caller(raised: tuple[BaseException, str]) -> None:
    workflow = Workflow("ends", steps=steps_of("inputs", failing(KeyboardInterrupt())))

    with pytest.raises(KeyboardInterrupt):
        run_inline(workflow)
