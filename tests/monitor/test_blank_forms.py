"""A form that is sent as it came: it starts a run, and the run gets the defaults."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework import serializers

from examples.main_flow.tasks import func_1
from parent.definition.workflow import Step, Workflow, registry
from parent.models import Run
from tests.monitor.sent_form import Form


class Tagged(serializers.Serializer[None]):
    """A group with a list inside, which a form shows as JSON."""

    street = serializers.CharField()
    number = serializers.IntegerField(required=False)
    careful = serializers.BooleanField(required=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)


class Deep(serializers.Serializer[None]):
    tagged = Tagged(required=False)


class Plain(serializers.Serializer[None]):
    number = serializers.IntegerField(required=False)
    price = serializers.DecimalField(max_digits=5, decimal_places=2, required=False)
    at = serializers.DateTimeField(required=False)


OPTIONAL: dict[str, Any] = {
    "group": Plain(required=False),
    "group with a list": Tagged(required=False),
    "groups inside each other": Deep(required=False),
    "groups": Tagged(many=True, required=False),
    "JSON": serializers.JSONField(required=False),
    "list": serializers.ListField(child=serializers.IntegerField(), required=False),
    "dict": serializers.DictField(child=serializers.IntegerField(), required=False),
    "uuid": serializers.UUIDField(required=False),
    "span": serializers.DurationField(required=False),
    "choice": serializers.ChoiceField(["a", "b"], required=False),
    "choices": serializers.MultipleChoiceField(choices=["a", "b"], required=False),
}
STREET = {"street": "Elm", "number": 3, "careful": False, "tags": ["a", "b"]}
DEFAULTS: dict[str, tuple[Any, Any]] = {
    "group with a list": (Tagged(default=STREET), STREET),
    "JSON": (serializers.JSONField(default={"a": [1, None]}), {"a": [1, None]}),
    "list": (serializers.ListField(child=serializers.IntegerField(), default=[1, 2]), [1, 2]),
    "flag": (serializers.BooleanField(default=True), True),
    "choice": (serializers.ChoiceField(["a", "b"], default="b"), "b"),
}


@pytest.fixture
def sent_back(client: Client, owner: User) -> Iterator[Any]:
    """Sends the form of a workflow with this parameter as it came; gives the run's parameters."""

    def send(field: Any) -> Any:
        kind = type("Params", (serializers.Serializer,), {"field": field})
        Workflow("blank", params=kind, steps=[Step(func_1, inputs=lambda _: {"limit": 1})])
        client.force_login(owner)
        page = client.get("/start/blank/").content.decode()
        answer = client.post("/start/blank/", Form(page).sent)
        assert answer.status_code == 302, answer.content.decode()
        return Run.objects.get().params

    yield send
    registry._workflows.pop("blank", None)


@pytest.mark.parametrize("field", OPTIONAL.values(), ids=OPTIONAL)
def test_a_field_that_is_optional(sent_back: Any, field: Any) -> None:
    params = sent_back(field)

    assert params.get("field") in (None, {}, [], "")


@pytest.mark.parametrize(("field", "expected"), DEFAULTS.values(), ids=DEFAULTS)
def test_a_field_with_a_default(sent_back: Any, field: Any, expected: Any) -> None:
    assert sent_back(field) == {"field": expected}
