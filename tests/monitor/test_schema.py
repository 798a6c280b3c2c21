"""The OpenAPI document: complete, without a warning, and the same as the catalogue's schemas."""

import json
import re
from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.urls import URLPattern
from jsonschema import Draft202012Validator
from rest_framework.test import APIClient

from monitor import urls
from parent.definition.workflow import Workflow, registry
from parent.models import Step

Api = Callable[[User | None], APIClient]
UNDESCRIBED = {"schema", "docs", "metrics", "ready"}  # the last only for staff
# Only for those with the permission: see tests/schedules/test_http.py.
UNDESCRIBED |= {
    f"schedule-{name}" for name in ("list", "detail", "pause", "resume", "reset", "run")
}


@pytest.fixture
def document(owner: User, api: Api) -> dict[str, Any]:
    return schema_for(api(owner))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workflows, of which a document is made ten times as fast as of all."""
    some = {name: registry.get(name) for name in ("main_flow", "csv_profile")}
    monkeypatch.setattr(registry, "_workflows", some)


def schema_for(client: APIClient) -> dict[str, Any]:
    response = client.get("/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert response.status_code == 200
    document: dict[str, Any] = json.loads(response.content)
    return document


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The operations of all paths by `METHOD path`."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def start_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The bodies that the start of a workflow takes, by their type."""
    content: dict[str, Any] = document["paths"][f"/workflows/{name}/"]["post"]["requestBody"]
    return {kind: media["schema"] for kind, media in content["content"].items()}


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema["$ref"].removeprefix("#/components/schemas/")
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


def test_the_document_is_valid_and_made_without_a_warning() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO())


def test_every_workflow_and_every_address_of_the_surface_is_described(
    document: dict[str, Any],
) -> None:
    described = set(document["paths"])
    views = [p for p in urls.urlpatterns if isinstance(p, URLPattern) and is_api(p)]

    starts = {f"/workflows/{name}/" for name in registry.names()}
    assert starts <= described
    others = {p.name: re.sub(r"<\w+:", "<", str(p.pattern)) for p in views}
    others = {name: path for name, path in others.items() if name not in UNDESCRIBED}
    others.pop("workflow-start")
    assert {
        "/" + path.replace("<", "{").replace(">", "}") for path in others.values()
    } == described - starts


@pytest.mark.usefixtures("few")
def test_what_is_for_staff_is_described_to_staff(staff: User, api: Api) -> None:
    assert "GET /readyz" in operations(schema_for(api(staff)))


def is_api(pattern: URLPattern) -> bool:
    return hasattr(pattern.callback, "cls")


def test_each_operation_has_a_name_a_tag_and_words_for_a_stranger(
    document: dict[str, Any],
) -> None:
    found = operations(document)
    names = [operation["operationId"] for operation in found.values()]

    assert len(set(names)) == len(names)
    for operation in found.values():
        assert operation["summary"]
        assert operation["description"]
        assert len(operation["tags"]) == 1
        for response in operation["responses"].values():
            assert response["description"]


def test_every_error_is_a_problem_document(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (name, status)
        if name != "GET /healthz":
            assert {"401", "406", "503"} <= set(operation["responses"])


@pytest.mark.usefixtures("few")
def test_an_answer_has_the_fields_that_the_document_says(
    document: dict[str, Any], owner: User, staff: User, api: Api, make_run: Any
) -> None:
    run = make_run(owner)
    child, child_id = run.steps.first(), str(uuid4())
    Step.objects.filter(pk=child.pk).update(task_id=child_id)
    me = api(owner)
    answers = {
        "Problem": me.get(f"/tasks/{uuid4()}/?lang=de").json() | {"errors": {}},
        "TaskPage": me.get("/tasks/?lang=de").json(),
        "TaskStatus": me.get(f"/tasks/{run.pk}/?lang=de").json(),
        "WorkflowEntry": me.get("/workflows/").json()[0],
    }
    answers["TaskStep"] = answers["TaskStatus"]["steps"][0]
    answers["WorkflowStep"] = answers["WorkflowEntry"]["steps"][0]
    schemas = document["components"]["schemas"]

    assert {name: answer.keys() for name, answer in answers.items()} == {
        name: schemas[name]["properties"].keys() for name in answers
    }
    assert me.get(f"/tasks/{child_id}/?lang=de").json().keys() == answers["TaskStatus"].keys()


@pytest.mark.usefixtures("few")
def test_headers_are_described(document: dict[str, Any]) -> None:
    found = operations(document)
    start, read = found["POST /workflows/main_flow/"], found["GET /tasks/{task_id}/"]

    assert "Location" in start["responses"]["202"]["headers"]
    assert "Idempotency-Key" in {p["name"] for p in start["parameters"]}
    assert "Retry-After" in start["responses"]["429"]["headers"]
    assert "Retry-After" in start["responses"]["503"]["headers"]
    assert "If-None-Match" in {p["name"] for p in read["parameters"]}
    assert "ETag" in read["responses"]["200"]["headers"]
    assert "ETag" in read["responses"]["304"]["headers"]


@pytest.mark.usefixtures("few")
def test_a_start_is_typed_by_its_workflows_own_serializer(document: dict[str, Any]) -> None:
    bodies = start_of(document, "main_flow")

    assert set(bodies) == {
        "application/json",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
    }
    schema = resolved(document, bodies["application/json"])
    assert schema["properties"]["limit"]["maximum"] == 10_000
    assert schema["additionalProperties"] is False


@pytest.mark.usefixtures("few")
def test_a_required_file_needs_multipart(document: dict[str, Any]) -> None:
    bodies = start_of(document, "csv_profile")

    assert set(bodies) == {"multipart/form-data"}
    schema = resolved(document, bodies["multipart/form-data"])
    assert schema["properties"]["file"] == {
        "type": "string",
        "format": "binary",
        "description": "A CSV file whose first row names the columns.",
    }


@pytest.mark.usefixtures("few")
def test_json_has_no_place_for_a_file_that_may_be_left_out(
    form_flow: Workflow, owner: User, api: Api
) -> None:
    document = schema_for(api(owner))
    bodies = start_of(document, "every_kind")

    assert "file" in resolved(document, bodies["multipart/form-data"])["properties"]
    assert "file" not in resolved(document, bodies["application/json"])["properties"]
    assert "title" in resolved(document, bodies["application/json"])["properties"]


@pytest.mark.usefixtures("few")
def test_a_plain_form_is_for_flat_parameters(form_flow: Workflow, owner: User, api: Api) -> None:
    document = schema_for(api(owner))

    assert "application/x-www-form-urlencoded" in start_of(document, "main_flow")
    assert "application/x-www-form-urlencoded" not in start_of(document, "every_kind")


def test_the_catalogue_has_the_same_schemas_as_json_schema(
    form_flow: Workflow, owner: User, api: Api
) -> None:
    document = schema_for(api(owner))
    catalogue = api(owner).get("/workflows/").json()

    assert [entry["name"] for entry in catalogue] == registry.names()
    for entry in catalogue:
        params = entry["params"]
        Draft202012Validator.check_schema(params)
        parts = params.pop("$defs", {})
        name = entry["name"]
        again = resolved(document, next(iter(start_of(document, name).values())))
        assert as_definitions(again, name) == params
        components = document["components"]["schemas"]
        for part, schema in parts.items():
            assert as_definitions(components[f"{name}.{part}"], name) == schema


def as_definitions(schema: dict[str, Any], workflow: str) -> dict[str, Any]:
    """A schema of the document with references as the catalogue has them."""
    text = json.dumps(schema).replace(f"#/components/schemas/{workflow}.", "#/$defs/")
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("accept", ["application/vnd.oai.openapi", "application/json", "*/*"])
def test_the_document_comes_as_yaml_or_json(owner: User, api: Api, accept: str) -> None:
    response = api(owner).get("/schema/", headers={"Accept": accept})

    assert response.status_code == 200
    assert b"openapi" in response.content[:20]


def test_a_stranger_sees_neither_the_document_nor_its_page(api: Api) -> None:
    assert api(None).get("/schema/").status_code == 401
    assert api(None).get("/docs/").headers["Location"] == "/login/?next=/docs/"
    assert api(None).get("/docs/?script=").status_code == 302
