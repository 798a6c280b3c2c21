"""A list of files over HTTP: by the API, by the page's form, and in the schema."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework import serializers

from examples.main_flow.tasks import func_1
from monitor.api.params_schema import bodies, params_schema
from parent import Step, Workflow
from parent.definition.workflow import registry
from parent.models import Run


class SheetsParams(serializers.Serializer[None]):
    sheets = serializers.ListField(
        child=serializers.FileField(), required=False, max_length=3, help_text="The tables."
    )
    limit = serializers.IntegerField(default=1)


class NeededParams(serializers.Serializer[None]):
    sheets = serializers.ListField(child=serializers.FileField())


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> Workflow:
    """A workflow that takes files, registered for this test only."""
    monkeypatch.setattr(registry, "_workflows", dict(registry._workflows))
    steps = [Step(func_1, inputs=lambda _: {"limit": 1})]
    return Workflow("sheets", params=SheetsParams, steps=steps)


@pytest.fixture(params=["api", "page"])
def post(request: pytest.FixtureRequest, sheets: Workflow, owner: User, api: Any) -> Any:
    """Starts a run with the form's data, and returns the response's status."""

    def by_api(**entered: Any) -> Any:
        return api(owner).post("/workflows/sheets/", entered, format="multipart")

    def by_page(**entered: Any) -> Any:
        client = Client()
        client.force_login(owner)
        return client.post("/start/sheets/", entered)

    return {"api": by_api, "page": by_page}[request.param]


def files(*contents: bytes) -> list[SimpleUploadedFile]:
    return [SimpleUploadedFile(f"{n}.csv", content) for n, content in enumerate(contents)]


@pytest.mark.parametrize("contents", [(b"a", b"b", b"c"), (b"a",)], ids=["three", "one"])
def test_a_form_sends_any_number_of_them(post: Any, contents: tuple[bytes, ...]) -> None:
    post(sheets=files(*contents))

    run = Run.objects.get()
    names = [f"runs/{run.pk}/{n}.csv" for n in range(len(contents))]
    assert (run.params["sheets"], run.files) == (names, names)


def test_they_may_be_left_out(post: Any) -> None:
    post(limit=2)
    assert Run.objects.get().params == {"limit": 2}


def test_the_one_that_is_wrong_is_named(post: Any) -> None:
    response = post(sheets=files(b"a", b""))

    assert response.status_code == 400
    assert "The submitted file is empty." in response.content.decode()
    assert re.search(r"sheets\.1|Entry 2", response.content.decode())


@pytest.mark.parametrize(
    "sent", [{"sheets": ["a.csv"]}, {"sheets": "a.csv"}, {"sheets": [None]}, {"sheets": {"a": 1}}]
)
def test_json_holds_no_files(sheets: Workflow, owner: User, api: Any, sent: Any) -> None:
    response = api(owner).post("/workflows/sheets/", sent, format="json")
    assert response.status_code == 400
    assert any(name.startswith("sheets") for name in response.json()["errors"])


def test_the_page_lets_people_choose_several(sheets: Workflow, owner: User) -> None:
    client = Client()
    client.force_login(owner)

    page = client.get("/start/sheets/").content.decode()

    (control,) = re.findall(r'<input [^>]*name="sheets"[^>]*>', page)
    assert 'type="file"' in control
    assert " multiple" in control
    assert "maxlength" not in control
    assert "The tables." in page


def test_the_schema_says_so_and_only_multipart_carries_them() -> None:
    assert params_schema(SheetsParams)["properties"]["sheets"] == {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": "The tables.",
        "maxItems": 3,
    }
    assert set(bodies(NeededParams)) == {"multipart/form-data"}
    without = bodies(SheetsParams)["application/json"]
    assert set(without().fields) == {"limit"}
