"""What an author's function does to what it gets reaches neither the rows nor other functions."""

from copy import deepcopy
from typing import Any

import pytest
from rest_framework import serializers

from children import Progress, child_task
from parent import Concurrency, Map, RunData, Step, Workflow
from parent.definition.workflow import registry
from parent.inline import run_inline
from parent.models import Item, RunState

pytestmark = pytest.mark.django_db

GIVEN: dict[str, Any] = {"rows": [1, {"a": 2}], "text": "x"}


class Given(serializers.Serializer[None]):
    rows = serializers.JSONField()
    text = serializers.CharField()


@child_task(name="hooks.gives")
def gives(progress: Progress) -> Any:
    return 5


@child_task(name="hooks.takes")
def takes(progress: Progress, rows: Any, text: str) -> Any:
    return [rows, text]


def spoil(run: RunData) -> dict[str, Any]:
    """As somebody does who builds the inputs from what is there already."""
    inputs: Any = run.params
    inputs["text"] = "other"
    inputs["rows"][1]["a"] = 7
    inputs["rows"].append(3)
    return dict(inputs)


def spoil_for_a_key(params: Any) -> str:
    return f"{params['rows'].pop()} {params.pop('text')}"


def take(run: RunData) -> dict[str, Any]:
    return dict(run.params)


def spoil_for_items(run: RunData) -> list[dict[str, Any]]:
    return [spoil(run)]


TAKEN = Step(takes, inputs=take, after=["gives"])
GIVES = Step(gives, inputs=lambda _: {})
SHAPES: dict[str, dict[str, Any]] = {
    "the inputs of the first step": {
        "steps": [Step(takes, name="spoiled", inputs=spoil), Step(takes, inputs=take)]
    },
    "the inputs of a step beside it": {
        "steps": [GIVES, Step(takes, name="spoiled", inputs=spoil, after=["gives"]), TAKEN]
    },
    "the items": {
        "steps": [GIVES, Map(takes, name="spoiled", over=spoil_for_items, after=["gives"]), TAKEN]
    },
    "the items of the first step": {
        "steps": [
            Map(takes, name="spoiled", over=spoil_for_items, after=[]),
            Step(takes, inputs=take, after=[]),
        ]
    },
    "the key of a limit": {
        "steps": [Step(takes, inputs=take)],
        "concurrency": Concurrency(key=spoil_for_a_key, limit=1),
    },
    "the result": {"steps": [GIVES, TAKEN], "result": spoil},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_row_and_other_functions_have_them_as_they_were(shape: dict[str, Any]) -> None:
    try:
        run = run_inline(Workflow("hooks", params=Given, **shape), **deepcopy(GIVEN))
    finally:
        registry._workflows.pop("hooks", None)

    run.refresh_from_db()
    assert run.state == RunState.SUCCESS, run.error
    assert run.params == GIVEN
    results = dict(run.steps.values_list("name", "result"))
    assert results["takes"] == [GIVEN["rows"], "x"]


ROWS: dict[str, Any] = {"rows": [1, {"a": 2}], "text": "x"}


@child_task(name="hooks.fails")
def fails(progress: Progress) -> Any:
    raise ValueError("no paper")


@child_task(name="hooks.gives_rows")
def gives_rows(progress: Progress) -> Any:
    return deepcopy(ROWS)


def spoil_results(run: RunData) -> dict[str, Any]:
    inputs: Any = run.results["gives_rows"]
    inputs["text"] = "other"
    inputs["rows"][1]["a"] = 7
    inputs["rows"].append(3)
    return dict(inputs)


def spoil_dict_of_results(run: RunData) -> dict[str, Any]:
    results: Any = run.results
    inputs = spoil_results(run)
    results["gives_rows"] = None
    results.clear()
    return inputs


def spoil_errors(run: RunData) -> dict[str, Any]:
    errors: Any = run.errors
    errors["gives_rows"] = "made up"
    return deepcopy(ROWS)


def spoil_results_for_items(run: RunData) -> list[dict[str, Any]]:
    return [spoil_results(run)]


def spoil_for_a_key_of_items(item: Any) -> str:
    item["rows"].append(item["rows"].pop()["a"])
    return "key"


def take_results(run: RunData) -> dict[str, Any]:
    assert not run.errors
    found: dict[str, Any] = run.results["gives_rows"]
    return found


SHARED = deepcopy(ROWS)
"""As a module has what all of its steps begin with."""


def take_shared(run: RunData) -> dict[str, Any]:
    return SHARED


def spoil_shared(run: RunData) -> dict[str, Any]:
    try:
        return deepcopy(SHARED)
    finally:
        SHARED["rows"].append(3)


FIRST = Step(gives_rows, inputs=lambda _: {})
LAST = Step(takes, inputs=take_results, after=["gives_rows"])


def spoiled(inputs: Any) -> Step:
    return Step(takes, name="spoiled", inputs=inputs, after=["gives_rows"])


def mapped(name: str, over: Any, key: Any = None) -> Map:
    return Map(takes, name=name, over=over, key=key, after=["gives_rows"])


RESULTS: dict[str, list[Step]] = {
    "the inputs of a step beside it": [FIRST, spoiled(spoil_results), LAST],
    "of one that comes later": [FIRST, LAST, spoiled(spoil_results)],
    "in the dict": [FIRST, spoiled(spoil_dict_of_results), LAST],
    "errors": [FIRST, spoiled(spoil_errors), LAST],
    "the items": [FIRST, mapped("spoiled", spoil_results_for_items), LAST],
    "the key of the items": [
        FIRST,
        mapped("spoiled", lambda run: [take_results(run)], spoil_for_a_key_of_items),
        LAST,
    ],
    "what is not the run's": [
        FIRST,
        Step(takes, inputs=take_shared, after=["gives_rows"]),
        spoiled(spoil_shared),
    ],
    "items that are not the run's": [
        FIRST,
        mapped("takes_items", lambda run: [take_shared(run)]),
        spoiled(spoil_shared),
        LAST,
    ],
}


@pytest.mark.parametrize("steps", RESULTS.values(), ids=RESULTS)
@pytest.mark.parametrize("many", [0, 30], ids=["few steps", "many steps"])
def test_so_it_is_with_results_and_what_functions_return(steps: list[Step], many: int) -> None:
    SHARED["rows"] = deepcopy(ROWS["rows"])
    others = [Step(gives, name=f"other_{n}", inputs=lambda _: {}, after=[]) for n in range(many)]
    try:
        run = run_inline(Workflow("hooks", steps=[*others, *steps]))
    finally:
        registry._workflows.pop("hooks", None)

    assert run.state == RunState.SUCCESS, run.error
    results = dict(run.steps.values_list("name", "result"))
    assert results["gives_rows"] == ROWS
    assert results["takes"] == [ROWS["rows"], "x"]
    inputs = [item.kwargs for item in Item.objects.filter(step__run=run)]
    assert inputs in ([], [ROWS], [{"rows": [1, {"a": 7}, 3], "text": "other"}])
    if "takes_items" in results:
        assert inputs == [ROWS]


@pytest.mark.parametrize("spoil_it", [spoil_results, spoil_dict_of_results])
def test_a_result_that_is_made_of_results_changes_none(spoil_it: Any) -> None:
    try:
        run = run_inline(Workflow("hooks", steps=[FIRST], result=spoil_it))
    finally:
        registry._workflows.pop("hooks", None)

    assert run.state == RunState.SUCCESS, run.error
    assert run.steps.get().result == ROWS
