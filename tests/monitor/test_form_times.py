"""Times in a form: shown again as they were entered, and in any format of their field."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework import serializers

from examples.main_flow.tasks import func_1
from monitor.pages.forms.earlier_run import form_like
from monitor.pages.forms.form import blank_form, filled_form
from parent.definition.workflow import Step, Workflow, registry

NOON = datetime(2025, 7, 1, 12, 0, tzinfo=UTC)
FORMATS = ["iso-8601", "%d.%m.%Y %H:%M", "%s", None]
"""In which a field writes times. It reads them in its `input_formats`."""


def takes(**options: Any) -> Any:
    """What a form can be made of: a time, and one inside of a group."""
    fields = {"at": serializers.DateTimeField(**options)}
    group = type("Group", (serializers.Serializer,), dict(fields))
    return SimpleNamespace(
        params=type("Params", (serializers.Serializer,), {**fields, "group": group()})
    )


def values(fields: str) -> list[str]:
    return [
        unescape(each) for each in re.findall(r'type="datetime-local"[^>]* value="([^"]*)"', fields)
    ]


@pytest.mark.parametrize("written_as", FORMATS)
@pytest.mark.parametrize(
    ("entered", "shown"),
    [
        ("2025-07-01T12:00", "2025-07-01T12:00:00.000"),
        ("2025-07-01T12:00:00.5+00:00", "2025-07-01T12:00:00.500"),
        *((each, each) for each in ("", "tomorrow", "2025-13-45", "\u202e", "9" * 400, "<b>", "0")),
    ],
)
def test_a_time_is_shown_again_beside_what_is_wrong(
    written_as: str | None, entered: str, shown: str
) -> None:
    given = {"at": entered, "group": {"at": entered}}

    fields, _ = filled_form(takes(format=written_as), given, {"at": ["No."]})

    assert values(fields) == [shown, shown]


@pytest.mark.parametrize("written_as", FORMATS)
@pytest.mark.parametrize("options", [{"default": NOON}, {"initial": NOON}])
def test_a_time_that_is_filled_in_at_first(written_as: str | None, options: dict[str, Any]) -> None:
    fields = blank_form(takes(format=written_as, **options))

    assert values(fields)[0] == "2025-07-01T12:00:00.000"


@pytest.mark.parametrize("written_as", FORMATS)
def test_a_time_of_an_earlier_run(written_as: str | None) -> None:
    stored = "2025-07-01T12:00:00Z"

    fields, left_out = form_like(takes(format=written_as), {"at": stored, "group": {"at": stored}})

    assert values(fields) == ["2025-07-01T12:00:00.000"] * 2
    assert left_out == []


@pytest.fixture
def timed(client: Client, owner: User) -> Iterator[Client]:
    Workflow("timed", params=takes().params, steps=[Step(func_1, inputs=lambda _: {"limit": 1})])
    client.force_login(owner)
    yield client
    registry._workflows.pop("timed", None)


@pytest.mark.parametrize("entered", ["\x00", "\ud800", "soon", "[" * 5_000, "9" * 5_000])
def test_what_is_no_time_is_said_beside_its_field(timed: Client, entered: str) -> None:
    body = urlencode({"at": entered, "group.at": entered[:9]}, errors="surrogatepass")

    answer = timed.generic("POST", "/start/timed/", body, "application/x-www-form-urlencoded")

    assert answer.status_code == 400
    assert b'id="errors"' in answer.content
