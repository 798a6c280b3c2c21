"""Inputs that cannot fit, or that read a step which has not ended, are found by the checks."""

from collections.abc import Sequence
from typing import Any

import pytest
from celery import shared_task
from rest_framework import serializers

from children import ChildTask, Progress, child_task
from parent import RunData, Step, Workflow
from parent.checks import check_workflows

pytestmark = pytest.mark.usefixtures("own_registry")


@child_task(name="fits.nothing")
def nothing(progress: Progress) -> None: ...


@child_task(name="fits.a_and_b")
def a_and_b(progress: Progress, a: int, b: int = 0) -> None: ...


@child_task(name="fits.bound", bind=True)
def bound(self: Any, progress: Progress, *, a: int) -> None: ...


@child_task(name="fits.whatever")
def whatever(progress: Progress, **inputs: Any) -> None: ...


@child_task(name="fits.Method")
class Method(ChildTask):
    def run(self, progress: Progress, a: int) -> None: ...


@child_task(name="fits.forgotten")
def forgotten(a, b=0):  # type: ignore[no-untyped-def]
    """Nobody can know that its first parameter is not `progress`, but by the workflow."""


@shared_task(name="fits.foreign")
def foreign(a: int) -> None: ...


@shared_task(name="fits.foreign_bound", bind=True)
def foreign_bound(self: Any, a: int) -> None: ...


class A(serializers.Serializer[None]):
    a = serializers.IntegerField()


class Optional(serializers.Serializer[None]):
    a = serializers.IntegerField(required=False)


class Default(serializers.Serializer[None]):
    a = serializers.IntegerField(default=1)


class Hidden(serializers.Serializer[None]):
    a = serializers.HiddenField(default=1)


class ABC(A):
    b = serializers.IntegerField(required=False)
    c = serializers.IntegerField()


class Source(serializers.Serializer[None]):
    other = serializers.IntegerField(source="a")


class ReadOnly(A):
    c = serializers.IntegerField(read_only=True)


class Changed(serializers.Serializer[None]):
    c = serializers.IntegerField()

    def validate(self, attrs: Any) -> Any:
        return {"a": attrs["c"]}


class Converted(serializers.Serializer[None]):
    c = serializers.IntegerField()

    def to_internal_value(self, data: Any) -> Any:
        return {"a": data["c"]}


def gets(name: str, step: str) -> str:
    return f"step {step!r} would get the parameter {name!r}, which its task does not take"


def needs(name: str, step: str) -> str:
    return f"step {step!r} needs {name!r}, which is not a parameter of the workflow"


def may_lack(name: str, step: str) -> str:
    return f"step {step!r} needs {name!r}, a parameter that may be left out"


def takes(name: str, step: str) -> str:
    return (
        f"the task of step {step!r} takes {name!r}, which is a parameter, where the progress comes"
    )


def problems() -> list[str]:
    prefix = "Workflow 'fits': "
    return [found.msg.removeprefix(prefix).rstrip(".") for found in check_workflows()]


@pytest.mark.parametrize(
    ("params", "task", "expected"),
    [
        (None, nothing, []),
        (None, whatever, []),
        (None, a_and_b, [needs("a", "a_and_b")]),
        (None, Method, [needs("a", "Method")]),
        (None, foreign, [needs("a", "foreign")]),
        (None, "fits.foreign", [needs("a", "foreign")]),
        (A, nothing, [gets("a", "nothing")]),
        *((A, task, []) for task in (a_and_b, bound, whatever, Method, foreign, foreign_bound)),
        (A, "fits.a_and_b", []),
        (A, "fits.foreign_bound", []),
        (ABC, a_and_b, [gets("c", "a_and_b")]),
        (ABC, foreign, [gets("b", "foreign"), gets("c", "foreign")]),
        (ABC, whatever, []),
        (Optional, a_and_b, [may_lack("a", "a_and_b")]),
        (Optional, whatever, []),
        (Optional, foreign_bound, [may_lack("a", "foreign_bound")]),
        (Default, a_and_b, []),
        (Hidden, a_and_b, []),
        (Source, a_and_b, []),
        (ReadOnly, a_and_b, []),
        (Changed, a_and_b, []),
        (Converted, a_and_b, []),
        (A, forgotten, [takes("a", "forgotten")]),
    ],
)
def test_parameters_against_the_signature(params: Any, task: Any, expected: list[str]) -> None:
    Workflow("fits", params=params, steps=[Step(task)])
    assert problems() == expected


def test_a_step_with_inputs_of_its_own_takes_no_parameters() -> None:
    Workflow("fits", params=ABC, steps=[Step(nothing, inputs=lambda _: {})])
    assert problems() == []


def test_each_problem_has_an_id_and_a_hint() -> None:
    steps = [Step(foreign), Step(forgotten, inputs=lambda run: {"b": run.results["c"]})]
    Workflow("fits", params=Optional, steps=steps)
    assert [(found.id, found.hint) for found in check_workflows()] == [
        ("workflows.E011", "Give it a default, in the serializer or in the function."),
        ("workflows.E012", "Its steps are: foreign, forgotten."),
    ]


def no_step(read: str, step: str = "b") -> str:
    return f"the inputs of step {step!r} read {read}, which is not a step"


def too_early(read: str, step: str = "b") -> str:
    return f"the inputs of step {step!r} read {read}, which does not come before it"


def reads_a(run: RunData) -> dict[str, Any]:
    return {"x": run.results["a"]}


def reads_c(run: RunData) -> dict[str, Any]:
    value = run.results["c"]
    return {"x": value}


def reads_two(run: RunData) -> dict[str, Any]:
    return {"x": run.results["c"], "y": run.results["d"], "again": run.results["c"]}


def asks_first(run: RunData) -> dict[str, Any]:
    if "c" in run.results:
        return {"x": run.results["c"]}
    return {}


def tries(run: RunData) -> dict[str, Any]:
    try:
        return {"x": run.results["c"]}
    except KeyError:
        return {}


def by_variable(run: RunData) -> dict[str, Any]:
    name = "c"
    return {"x": run.results[name]}


def of_another(run: RunData) -> dict[str, Any]:
    run = RunData(params={}, results={"c": 1})
    return {"x": run.results["c"]}


def in_a_loop(run: RunData) -> dict[str, Any]:
    return {f"x{i}": run.results["c"] for i in range(int(run.params.get("n", 0)))}


def closes_over(run: RunData) -> dict[str, Any]:
    return {"x": run.results["c"], "y": list(map(lambda key: run.params[key], ["n"]))}  # noqa: C417


class Inputs:
    def of_step(self, run: RunData) -> dict[str, Any]:
        return {"x": run.results["c"]}

    def __call__(self, run: RunData) -> dict[str, Any]:
        return {"x": run.results["c"]}


READS: dict[str, tuple[Any, list[str]]] = {
    "the step before": (reads_a, []),
    "a later step": (reads_c, [too_early("run.results['c']")]),
    "a later step, by a lambda": (
        lambda run: {"x": run.results["c"]},
        [too_early("run.results['c']")],
    ),
    "no step": (lambda run: {"x": run.results["z"]}, [no_step("run.results['z']")]),
    "itself": (lambda run: {"x": run.results["b"]}, [too_early("run.results['b']")]),
    "two, one of them twice": (
        reads_two,
        [too_early("run.results['c']"), too_early("run.results['d']")],
    ),
    "a part of a result": (
        lambda run: {"x": run.results["a"]["rows"], "y": run.results["c"]["rows"]},
        [too_early("run.results['c']")],
    ),
    "after other values": (
        lambda run: dict(run.params) | run.results["c"],
        [too_early("run.results['c']")],
    ),
    "an error": (lambda run: {"x": run.errors["c"]}, [too_early("run.errors['c']")]),
    "the method of an object": (Inputs().of_step, [too_early("run.results['c']")]),
    "in a function with a closure": (closes_over, [too_early("run.results['c']")]),
    "a parameter": (lambda run: {"x": run.params["c"]}, []),
    "with get": (lambda run: {"x": run.results.get("c")}, []),
    "after a question": (asks_first, []),
    "in an expression with a condition": (
        lambda run: {"x": run.results["c"] if run.params else None},
        [],
    ),
    "in a try": (tries, []),
    "in a loop that may be empty": (in_a_loop, []),
    "by a variable": (by_variable, []),
    "of another object": (of_another, []),
    "by an object that is called": (Inputs(), []),
    "by a function of C": (dict, []),
}


@pytest.mark.parametrize("name", READS)
def test_what_inputs_read(name: str) -> None:
    inputs, expected = READS[name]
    steps = [Step(whatever, name=step, inputs=inputs if step == "b" else None) for step in "abcd"]
    Workflow("fits", steps=steps)
    assert problems() == expected


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (["a", "c"], []),
        (["d"], []),  # which comes after c
        (["a"], [too_early("run.results['c']")]),
        ((), [too_early("run.results['c']")]),
    ],
)
def test_what_comes_before_is_known_from_the_graph(
    after: Sequence[str], expected: list[str]
) -> None:
    Workflow(
        "fits",
        steps=[
            Step(whatever, name="a"),
            Step(whatever, name="b", after=after, inputs=reads_c),
            Step(whatever, name="c", after=["a"]),
            Step(whatever, name="d", after=["c"]),
        ],
    )
    assert problems() == expected


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (lambda run: run.results["a"], []),
        (lambda run: run.results["z"], ["its result reads run.results['z'], which is not a step"]),
    ],
)
def test_what_the_result_reads(result: Any, expected: list[str]) -> None:
    Workflow("fits", steps=[Step(nothing, name="a")], result=result)
    assert problems() == expected
