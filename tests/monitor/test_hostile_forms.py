"""Whatever a form is sent, in whichever of its fields: it starts a run, or says what is wrong."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework import serializers

from examples.main_flow.tasks import func_1
from parent.definition.workflow import Step, Workflow, registry

pytestmark = pytest.mark.usefixtures("media")

KINDS: dict[str, serializers.Field[Any, Any, Any, Any]] = {
    "text": serializers.CharField(),
    "long": serializers.CharField(style={"base_template": "textarea.html"}),
    "secret": serializers.CharField(write_only=True),
    "number": serializers.IntegerField(),
    "ratio": serializers.FloatField(),
    "price": serializers.DecimalField(max_digits=5, decimal_places=2),
    "flag": serializers.BooleanField(),
    "maybe": serializers.BooleanField(allow_null=True),
    "choice": serializers.ChoiceField(["a", "b"]),
    "choices": serializers.MultipleChoiceField(choices=["a", "b"]),
    "at": serializers.DateTimeField(),
    "day": serializers.DateField(),
    "time": serializers.TimeField(),
    "span": serializers.DurationField(),
    "id": serializers.UUIDField(),
    "address": serializers.IPAddressField(),
    "url": serializers.URLField(),
    "mail": serializers.EmailField(),
    "anything": serializers.JSONField(),
    "names": serializers.ListField(child=serializers.CharField()),
    "matrix": serializers.ListField(child=serializers.ListField(child=serializers.IntegerField())),
    "labels": serializers.DictField(child=serializers.CharField()),
    "file": serializers.FileField(),
    "files": serializers.ListField(child=serializers.FileField()),
}
TEXTS = {
    "NUL": "a\x00b",
    "half of a pair": "\ud800",
    "escaped NUL": '{"a": "\\u0000"}',
    "escaped half of a pair": '["\\ud800"]',
    "huge": "9" * 5_000,
    "beyond all floats": "1e400",
    "no number": "NaN",
    "deep": "[" * 900 + "]" * 900,
    "open": "[" * 5_000,
    "markup": "<script>alert(1)</script>",
    "right to left": "\u202e\u05d0",
    "emoji": "👩‍👧🔥",
    "digits of another script": "١٢",
    "no date": "0000-00-00",
    "last of all dates": "9999-12-31T23:59:59Z",
    "null": "null",
    "long": "x" * 100_000,
    "lines": "a\r\n\u2028b",
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """A workflow with one parameter of that kind, at the top and in a group."""
    name: str = request.param
    field: Any = KINDS[name]
    files = name in ("file", "files")  # they cannot be in a group
    group = {} if files else {"group": type("Group", (serializers.Serializer,), {name: field})()}
    kinds = type("Params", (serializers.Serializer,), {name: field, **group})
    Workflow("hostile", params=kinds, steps=[Step(func_1, inputs=lambda _: {"limit": 1})])
    yield name
    registry._workflows.pop("hostile", None)


@pytest.fixture
def signed_in(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


def is_answered(answer: Any) -> bool:
    """Whether it leads to a run, or is the form with what is wrong."""
    return answer.status_code == 302 or (
        answer.status_code == 400
        and b'id="errors"' in answer.content
        and b"<script>alert" not in answer.content
    )


def test_a_text_of_any_kind(signed_in: Client, kind: str) -> None:
    for given in ([], ["1", "2"], ["", ""], *([text] for text in TEXTS.values())):
        pairs = [(place, text) for place in (kind, f"group.{kind}") for text in given]
        body = urlencode(pairs, errors="surrogatepass")

        answer = signed_in.generic(
            "POST", "/start/hostile/", body, "application/x-www-form-urlencoded"
        )

        assert is_answered(answer), (given, answer.content)


@pytest.mark.parametrize("place", ["{}", "group.{}", "group", "{}[0]", "{}.a"])
def test_a_file_in_place_of_a_value(signed_in: Client, kind: str, place: str) -> None:
    file = BytesIO(b"5")
    file.name = "<script>alert(1)</script>.csv"

    answer = signed_in.post("/start/hostile/", {place.format(kind): file, "text": "T"})

    assert is_answered(answer), answer.content
