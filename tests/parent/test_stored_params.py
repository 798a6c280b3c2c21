"""Any serializer may be a workflow's parameters: what a run cannot store is found by a check."""

from decimal import Decimal
from typing import Any, cast

import pytest
from django.contrib.auth.models import Group, Permission, User
from rest_framework import serializers

from children import Progress, child_task
from parent import Approval, Signal, Step, Workflow
from parent.checks import check_workflow
from parent.errors import InvalidParams
from parent.inline import run_inline_with
from parent.runs.idempotency import fingerprint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]


class Thing:
    pass


class GroupSerializer(serializers.ModelSerializer[Group]):
    class Meta:
        model = Group
        fields = ("name", "permissions")


class ThingField(serializers.Field[Any, Any, Any, Any]):
    def to_internal_value(self, _data: Any) -> Thing:
        return Thing()


class ThingsField(serializers.Field[Any, Any, Any, Any]):
    def to_internal_value(self, _data: Any) -> "Thing | None":
        return None


class UserField(serializers.Field[Any, Any, Any, Any]):
    def to_internal_value(self, data: Any) -> User:
        return User.objects.get(username=data)


class AmountField(serializers.Field[Any, Any, Any, Any]):
    def to_internal_value(self, data: Any) -> list[Decimal]:
        return [Decimal(data)]


class WithFile(serializers.Serializer[None]):
    file = serializers.FileField()


def flow(**fields: Any) -> Workflow:
    @child_task(name="shop.given")
    def given(progress: Progress, **params: Any) -> Any:
        return params

    params = type("Params", (serializers.Serializer,), fields)
    step = Step(given, inputs=lambda run: dict(run.params))
    return Workflow("stored", params=params, steps=[step])


def people() -> Any:
    return serializers.PrimaryKeyRelatedField(queryset=User.objects.all())


STORED: dict[str, tuple[Any, Any, Any]] = {
    "an instance": (people, lambda user, _: user.pk, lambda user, _: user.pk),
    "instances": (
        lambda: serializers.PrimaryKeyRelatedField(queryset=User.objects.all(), many=True),
        lambda user, _: [user.pk],
        lambda user, _: [user.pk],
    ),
    "an instance by a slug": (
        lambda: serializers.SlugRelatedField("username", queryset=User.objects.all()),
        lambda user, _: user.username,
        lambda user, _: user.pk,
    ),
    "a model serializer": (
        GroupSerializer,
        lambda _, may: {"name": "staff", "permissions": [may.pk]},
        lambda _, may: {"name": "staff", "permissions": [may.pk]},
    ),
    "a list of them": (
        lambda: GroupSerializer(many=True),
        lambda _, may: [{"name": "staff", "permissions": [may.pk]}],
        lambda _, may: [{"name": "staff", "permissions": [may.pk]}],
    ),
    "instances in a list": (
        lambda: serializers.ListField(child=people()),
        lambda user, _: [user.pk],
        lambda user, _: [user.pk],
    ),
    "instances in a dict": (
        lambda: serializers.DictField(child=people()),
        lambda user, _: {"a": user.pk},
        lambda user, _: {"a": user.pk},
    ),
    "several choices": (
        lambda: serializers.MultipleChoiceField(choices=["a", "b", "c"]),
        lambda *_: ["c", "a"],
        lambda *_: ["c", "a"],
    ),
    "a field of their own": (UserField, lambda user, _: user.username, lambda user, _: user.pk),
    "amounts": (AmountField, lambda *_: "1.50", lambda *_: ["1.50"]),
}


@pytest.mark.parametrize("case", STORED)
def test_it_is_stored_and_the_child_gets_it(case: str) -> None:
    field, sent, kept = STORED[case]
    user = User.objects.create_user("ann")
    may = Permission.objects.all()[0]
    workflow = flow(value=field())

    assert not list(check_workflow(workflow))
    run = run_inline_with(workflow, {"value": sent(user, may)})

    assert (run.error, run.result) == (None, {"value": kept(user, may)})
    assert run.params == {"value": kept(user, may)}


REFUSED: dict[str, tuple[Any, str]] = {
    "files in a serializer": (WithFile, "nested files"),
    "files in a list of serializers": (lambda: WithFile(many=True), "nested files"),
    "files in a dict": (
        lambda: serializers.DictField(child=serializers.FileField()),
        "nested files",
    ),
    "an object": (ThingField, "to_internal_value of the parameter 'value' returns Thing"),
    "an object or none": (ThingsField, "to_internal_value of the parameter 'value' returns"),
    "objects in a list": (
        lambda: serializers.ListField(child=ThingField()),
        "to_internal_value of the parameter 'value[]' returns Thing",
    ),
    "a choice": (
        lambda: serializers.ChoiceField(choices=[(Thing, "a")]),
        "the parameter 'value' has the choice",
    ),
    "a default": (
        lambda: serializers.JSONField(default=cast("Any", Thing())),
        "the default of the parameter 'value'",
    ),
    "the user of the request": (
        lambda: serializers.HiddenField(default=serializers.CurrentUserDefault()),
        "the parameter 'value' takes its value from the request",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_check_refuses_what_cannot_be_stored(case: str) -> None:
    field, problem = REFUSED[case]
    messages = list(check_workflow(flow(value=field())))
    assert any(problem in message.msg for message in messages), messages
    assert all(message.hint for message in messages)


class Groups(serializers.ListSerializer[Any]):
    child = GroupSerializer()


@pytest.mark.parametrize(
    ("workflow", "option"),
    [
        (lambda step: Workflow("listed", params=Groups, steps=[step]), "params"),
        (lambda step: Workflow("listed", steps=[step, Approval("release", form=Groups)]), "form"),
        (
            lambda step: Workflow("listed", steps=[step], signals=[Signal("more", params=Groups)]),
            "params",
        ),
    ],
    ids=["params", "a form", "a signal"],
)
def test_a_check_refuses_a_list_in_the_place_of_fields(workflow: Any, option: str) -> None:
    [message] = check_workflow(workflow(Step("stored.given")))

    assert f"has {option} of the wrong type or value" in message.msg
    assert "a list is a field of it" in str(message.hint)


class UnsavedField(serializers.Field[Any, Any, Any, Any]):
    def to_internal_value(self, data: Any) -> Group:
        return Group(name=data)


@pytest.mark.parametrize(
    "field",
    [UnsavedField, lambda: serializers.ListField(child=UnsavedField())],
    ids=["alone", "in a list"],
)
def test_an_instance_that_is_not_saved_is_refused(field: Any) -> None:
    """It has no id, so that its child would get nothing."""
    value: Any = "new" if field is UnsavedField else ["new"]

    with pytest.raises(InvalidParams) as refused:
        flow(value=field()).start(value=value)

    assert refused.value.errors == {
        "value": ["This Group is not saved, and only its id would be stored."]
    }


def test_of_two_instances_with_one_text_each_has_its_own_fingerprint() -> None:
    one, other = Group(pk=1, name="same"), Group(pk=2, name="same")
    assert fingerprint("flow", {"group": one}) != fingerprint("flow", {"group": other})
