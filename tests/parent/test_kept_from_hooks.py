"""What an author's function does to the parameters reaches neither the row nor other functions."""

from copy import deepcopy
from typing import Any

import pytest
from rest_framework import serializers

from children import Progress, child_task
from parent import Concurrency, Map, RunData, Step, Workflow
from parent.definition.workflow import registry
from parent.inline import run_inline
from parent.models import RunState

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
