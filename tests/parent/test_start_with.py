"""A parameter may have any name where the parameters are a mapping."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework import serializers

from children import Progress, child_task
from parent import Step, Workflow
from parent.checks import check_workflows
from parent.errors import InvalidParams
from parent.inline import run_inline_with
from parent.models import Run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]

PARAMS: dict[str, Any] = {
    name: name.upper()
    for name in ("owner", "params", "workflow", "countdown", "eta", "task_id", "run_id", "kwargs")
}


@pytest.fixture
def anything() -> Workflow:
    """A workflow whose parameters have the names of options."""

    @child_task(name="shop.anything")
    def take(progress: Progress, **given: str) -> dict[str, str]:
        return given

    fields = {name: serializers.CharField() for name in (*PARAMS, "self")}
    kind = type("Params", (serializers.Serializer,), fields)
    return Workflow("anything", params=kind, steps=[Step(take)])


WAYS: dict[str, Callable[[Workflow, dict[str, Any]], Any]] = {
    "start_with": lambda workflow, params: workflow.start_with(params),
    "start_many": lambda workflow, params: workflow.start_many([params]),
    "run_inline_with": run_inline_with,
    "the parent task": lambda workflow, params: workflow.task.apply(kwargs=params, throw=True),
}


@pytest.mark.parametrize("way", WAYS)
def test_parameters_in_a_mapping_may_have_any_name(anything: Workflow, way: str) -> None:
    assert check_workflows() == []
    params = PARAMS | {"self": "SELF"}
    WAYS[way](anything, params)
    run = Run.objects.get()
    assert (run.params, run.owner) == (params, None)


def test_delay_has_no_options_so_that_all_names_are_parameters(anything: Workflow) -> None:
    anything.delay(**PARAMS, self="SELF")
    assert Run.objects.get().params == PARAMS | {"self": "SELF"}


@pytest.mark.parametrize("start", [Workflow.start_with, run_inline_with])
def test_the_owner_is_apart(anything: Workflow, start: Any) -> None:
    ann = User.objects.create_user("ann")
    run = start(anything, PARAMS | {"self": "SELF"}, owner=ann)
    assert (run.owner, run.params["owner"]) == (ann, "OWNER")


def test_start_refuses_an_owner_who_is_no_user(anything: Workflow) -> None:
    with pytest.raises(TypeError, match=r"not 'OWNER'\. To give a parameter that is named owner"):
        anything.start(**PARAMS)
    assert not Run.objects.exists()


def test_start_with_validates_as_start_does(anything: Workflow) -> None:
    with pytest.raises(InvalidParams) as told:
        anything.start_with({"owner": "OWNER"})
    assert "owner" not in told.value.errors
    assert "countdown" in told.value.errors
