"""A team's `REST_FRAMEWORK` changes nothing of ours, and we nothing of their API."""

from typing import Any

import pytest
from rest_framework.views import APIView

from monitor import urls
from monitor.api.base import ApiView
from tests.adopt.conftest import Client, Team
from tests.waiting import until

PROBLEM, JSON = "application/problem+json", "application/json"
UNKNOWN = "00000000-0000-0000-0000-000000000000"


def start(client: Client, workflow: str, **params: Any) -> str:
    answer = client.post(f"/flows/workflows/{workflow}/", json=params)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def status(client: Client, run: str) -> dict[str, Any]:
    document: dict[str, Any] = client.get(f"/flows/tasks/{run}/").json()
    return document


ANSWERS = [
    ("GET", "workflows/", None, 200, JSON),
    ("POST", "workflows/weigh_all/", {"parcels": 2}, 202, JSON),
    ("POST", "workflows/weigh_all/", {"parcels": 0}, 400, PROBLEM),
    ("POST", "workflows/weigh_all/", {"parcels": 2, "weight": 1}, 400, PROBLEM),
    ("POST", "workflows/weigh_all/", {"parcels": 13}, 400, PROBLEM),
    ("POST", "workflows/weigh_none/", {}, 404, PROBLEM),
    ("GET", "tasks/", None, 200, JSON),
    ("GET", "tasks/?state=nonsense", None, 400, PROBLEM),
    ("GET", f"tasks/{UNKNOWN}/", None, 404, PROBLEM),
    ("PATCH", f"tasks/{UNKNOWN}/", {}, 405, PROBLEM),
    ("OPTIONS", "tasks/", None, 200, JSON),
    ("POST", f"tasks/{UNKNOWN}/cancel/", None, 404, PROBLEM),
    ("POST", f"tasks/{UNKNOWN}/retry/", {}, 404, PROBLEM),
    ("GET", "schema/", None, 200, "application/vnd.oai.openapi"),
    ("GET", "docs/", None, 200, "text/html"),
    ("GET", "docs/?script=", None, 200, "application/javascript"),
    ("GET", "healthz", None, 200, JSON),
    ("GET", "readyz", None, 403, PROBLEM),
    ("GET", "metrics", None, 403, PROBLEM),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "kind"), ANSWERS, ids=lambda value: str(value)[:40]
)
def test_our_api_answers_as_it_does_in_our_service(
    ann: Client, method: str, path: str, body: Any, code: int, kind: str
) -> None:
    answer = ann.request(method, f"/flows/{path}", json=body)

    assert answer.status_code == code, answer.text
    assert answer.headers["Content-Type"].partition(";")[0] == kind
    assert answer.headers["Cache-Control"] == "private, no-store"
    if kind == PROBLEM:
        assert {"type", "title", "status", "detail"} <= set(answer.json())


def test_an_error_of_no_field_has_the_key_that_our_api_documents(ann: Client) -> None:
    answer = ann.post("/flows/workflows/weigh_all/", json={"parcels": 13})

    assert answer.json()["errors"] == {"non_field_errors": ["Not thirteen."]}


def test_an_error_of_no_field_stands_in_the_form(ann: Client) -> None:
    ann.get("/flows/start/weigh_all/").raise_for_status()

    answer = ann.post("/flows/start/weigh_all/", data={"parcels": "13"})

    assert answer.status_code == 400
    assert "Not thirteen." in answer.text
    assert "whole" not in answer.text


def test_without_a_login_it_is_a_401(team: Team) -> None:
    with Client(base_url=team.url) as nobody:
        answer = nobody.get("/flows/tasks/")

    assert (answer.status_code, answer.headers["Content-Type"]) == (401, PROBLEM)


def test_an_active_run_is_not_deleted_nor_retried_but_cancelled(ann: Client) -> None:
    run = start(ann, "endless")

    assert ann.delete(f"/flows/tasks/{run}/").status_code == 409
    assert ann.post(f"/flows/tasks/{run}/retry/", json={}).status_code == 409
    until("its first report", lambda: status(ann, run)["state"] == "PROGRESS")
    assert ann.post(f"/flows/tasks/{run}/cancel/").status_code == 202
    until("its cancel", lambda: status(ann, run)["state"] == "REVOKED")
    assert ann.delete(f"/flows/tasks/{run}/").status_code == 204


def test_a_run_goes_to_its_end(ann: Client) -> None:
    run = start(ann, "weigh_all", parcels=5)

    until("its end", lambda: status(ann, run)["state"] == "SUCCESS")

    assert status(ann, run)["result"] == {"kilos": 10}


def test_pages_of_runs_are_as_long_as_ours(ann: Client) -> None:
    runs = [start(ann, "weigh_all", parcels=1) for _ in range(3)]

    page = ann.get("/flows/tasks/", params={"workflow": "weigh_all"}).json()

    assert {task["task_id"] for task in page["results"]} >= set(runs)


def test_operators_read_the_probes_with_their_token(team: Team) -> None:
    with Client(base_url=team.url) as program:
        answers = {
            path: program.get(path, headers={"Authorization": "Bearer a-token-for-probes"})
            for path in ("/flows/readyz", "/flows/metrics")
        }
        wrong = program.get("/flows/readyz", headers={"Authorization": "Bearer another"})

    assert {path: answer.status_code for path, answer in answers.items()} == {
        "/flows/readyz": 200,
        "/flows/metrics": 200,
    }
    assert wrong.status_code == 401


THEIRS = [
    ({"weight": 3}, 200, {"data": {"weight": 3}}),
    ({"weight": -1}, 400, {"data": {"oops": {"whole": ["Weigh it again."]}}}),
    ({}, 400, {"data": {"oops": {"weight": ["This field is required."]}}}),
]


@pytest.mark.parametrize(("body", "code", "document"), THEIRS, ids=["well", "whole", "field"])
def test_their_api_answers_in_their_own_way(
    ann: Client, body: Any, code: int, document: Any
) -> None:
    answer = ann.post("/api/parcels/", json=body, headers={"Accept": "application/json; version=7"})

    assert answer.headers["Content-Type"].startswith("application/vnd.team+json")
    assert (answer.status_code, answer.json()) == (code, document)


def test_what_their_settings_say_holds_for_their_views(ann: Client) -> None:
    answer = ann.get("/api/nothing/")

    assert (answer.status_code, set(answer.json()["data"])) == (403, {"oops"})


def their_schema(client: Client) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/api/schema/").json()
    return document


def test_their_document_has_their_views_alone(ann: Client) -> None:
    document = their_schema(ann)

    assert document["info"]["title"] == "The team's API"
    assert (document["openapi"], document["x-stamp"]) == ("3.0.3", "team")
    paths = {path for path in document["paths"] if "schema" not in path}
    assert paths == {"/outside/api/parcels/", "/outside/api/nothing/"}
    post = document["paths"]["/outside/api/parcels/"]["post"]
    assert post["tags"] == ["team"]
    # A JSON field of theirs is described as without us.
    assert document["components"]["schemas"]["Parcel"]["properties"]["label"] == {}


@pytest.mark.parametrize("prefix", ["/flows", "/second/one", "/office/jobs.v2"])
def test_our_document_is_of_ours_alone(ann: Client, prefix: str) -> None:
    accept = {"Accept": "application/vnd.oai.openapi+json"}
    before = their_schema(ann)

    document = ann.get(f"{prefix}/schema/", headers=accept).json()

    assert (document["openapi"], document["info"]["title"]) == ("3.1.0", "parentchild")
    assert "x-stamp" not in document
    ours = {path.removeprefix(prefix) for path in document["paths"]}
    assert {"/workflows/weigh_all/", "/tasks/", "/tasks/{task_id}/cancel/"} <= ours
    assert all(path.startswith(f"{prefix}/") for path in document["paths"])
    assert their_schema(ann) == before


SAME = (
    "import json; from monitor.api.documents import Document; "
    "print(json.dumps(Document().get_schema(public=True), sort_keys=True, default=str))"
)


def test_our_document_is_the_same_with_any_schema_class_of_theirs(team: Team) -> None:
    """Also with one that drf-spectacular itself cannot use."""
    ours = [
        team.manage("shell", "-v", "0", "-c", SAME, TEAM_SCHEMA_CLASS=name)
        for name in ("shop.api.TeamSchema", "rest_framework.schemas.inspectors.ViewInspector")
    ]

    assert ours[0] == ours[1]
    assert '"/flows/workflows/weigh_all/"' in ours[0]


FROM_SETTINGS = {
    name
    for name in vars(APIView)
    if name in {"schema", "settings"} or name.endswith(("_class", "_classes"))
}


def test_our_views_carry_all_that_django_rest_framework_takes_from_settings() -> None:
    assert len(FROM_SETTINGS) >= 10
    assert vars(ApiView).keys() >= FROM_SETTINGS
    views = [getattr(pattern.callback, "cls", None) for pattern in urls.urlpatterns]
    assert [view for view in views if view and not issubclass(view, ApiView)] == []
