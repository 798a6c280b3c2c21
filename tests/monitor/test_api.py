"""The HTTP API: the responses to each request."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from parent.definition.workflow import Workflow
from parent.models import Run, Step

Api = Callable[[User | None], APIClient]
MakeRun = Callable[..., Run]

NOBODYS = "4c8d5b76-253a-472d-84bc-588cec72da5e"
"""An id that no run has."""


def test_health_is_open_to_all(api: Api) -> None:
    response = api(None).get("/healthz")

    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/workflows/"),
        ("post", "/workflows/main_flow/"),
        ("get", "/tasks/"),
        ("get", f"/tasks/{NOBODYS}/"),
        ("delete", f"/tasks/{NOBODYS}/"),
    ],
)
def test_nothing_else_is_open(api: Api, method: str, path: str) -> None:
    response = getattr(api(None), method)(path)

    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"
    assert response["WWW-Authenticate"] == "Token"


def test_a_token_signs_a_program_in(owner: User, api: Api) -> None:
    client = api(None)
    client.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=owner).key}")

    assert client.get("/tasks/").status_code == 200


def test_a_session_needs_the_csrf_token_to_change_anything(owner: User) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(owner)

    response = client.post("/workflows/main_flow/", {"limit": 3}, format="json")

    assert response.status_code == 403
    assert not Run.objects.exists()


def test_the_catalogue_describes_each_workflow(owner: User, api: Api) -> None:
    (main_flow,) = (
        workflow
        for workflow in api(owner).get("/workflows/").json()
        if workflow["name"] == "main_flow"
    )

    plain = {"when": "ok", "optional": False, "mapped": False, "workflow": None}
    assert main_flow["description"]
    assert main_flow["params"]["properties"]["limit"]["type"] == "integer"
    assert main_flow["steps"] == [
        {"name": name, "title": name, "after": after, **plain}
        for name, after in (("func_1", []), ("func_2", ["func_1"]), ("func_3", ["func_2"]))
    ]


@pytest.mark.parametrize("format", ["json", "multipart"])
def test_a_post_starts_a_run_of_the_caller(owner: User, api: Api, format: str) -> None:
    response = api(owner).post("/workflows/main_flow/", {"limit": 3}, format=format)

    run = Run.objects.get()
    assert response.status_code == 202
    assert response["Location"] == f"/tasks/{run.pk}/"
    assert response.json()["task_id"] == str(run.pk)
    assert response.json()["state"] == "PENDING"
    assert [step["name"] for step in response.json()["steps"]] == ["func_1", "func_2", "func_3"]
    assert (run.owner, run.params) == (owner, {"limit": 3})


def test_a_plain_form_starts_a_run(owner: User, api: Api) -> None:
    response = api(owner).post(
        "/workflows/main_flow/", "limit=3", content_type="application/x-www-form-urlencoded"
    )

    assert response.status_code == 202
    assert Run.objects.get().params == {"limit": 3}


def test_a_form_keeps_the_defaults_of_what_it_does_not_send(
    owner: User, api: Api, form_flow: Workflow
) -> None:
    sent = {
        "title": "T",
        "ratio": "",
        "sizes": ["s", "l"],
        "names": ["a", "b"],
        "extra": '{"deep": [1]}',
        "size.width": "9",
        "file": SimpleUploadedFile("../evil.csv", b"a,b"),
    }

    response = api(owner).post("/workflows/every_kind/", sent, format="multipart")

    assert response.status_code == 202, response.json()
    params = Run.objects.get().params
    with default_storage.open(params.pop("file")) as stored:
        assert stored.read() == b"a,b"
    assert sorted(params.pop("sizes")) == ["l", "s"]
    assert params == {
        "title": "T",
        "limit": 7,
        "careful": True,
        "names": ["a", "b"],
        "extra": {"deep": [1]},
        "size": {"width": 9},
    }


def test_a_form_may_write_nested_parameters_as_json(
    owner: User, api: Api, form_flow: Workflow
) -> None:
    sent = {"title": "T", "size": '{"width": 9}', "labels": '{"a": "b"}'}

    response = api(owner).post("/workflows/every_kind/", sent, format="multipart")

    assert response.status_code == 202, response.json()
    params = Run.objects.get().params
    assert (params["size"], params["labels"]) == ({"width": 9}, {"a": "b"})


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"limit": "many"}, {"limit": ["A valid integer is required."]}),
        ({"limit": 0}, {"limit": ["Ensure this value is greater than or equal to 1."]}),
        ({"limit": 1, "size": 2}, {"size": ["This workflow has no such parameter."]}),
        ([1], {"non_field_errors": ["Send a JSON object with the parameters as fields."]}),
        ("text", {"non_field_errors": ["Send a JSON object with the parameters as fields."]}),
    ],
)
def test_bad_parameters_are_named_and_start_nothing(
    owner: User, api: Api, body: Any, errors: dict[str, list[str]]
) -> None:
    response = api(owner).post("/workflows/main_flow/", body, format="json")

    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["errors"] == errors
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"limit: 3", "application/yaml", 415),
        (b"no boundary", "multipart/form-data", 400),
    ],
)
def test_a_body_that_cannot_be_read_is_a_problem(
    owner: User, api: Api, body: bytes, content_type: str, status: int
) -> None:
    response = api(owner).post("/workflows/main_flow/", body, content_type=content_type)

    assert response.status_code == status
    assert response.json()["status"] == status


def test_an_unknown_workflow_is_not_found(owner: User, api: Api) -> None:
    response = api(owner).post("/workflows/nope/", {}, format="json")

    assert response.status_code == 404
    assert "main_flow" in response.json()["detail"]


def test_the_owner_reads_a_run_in_one_statement(
    owner: User, api: Api, make_run: MakeRun, django_assert_num_queries: Any
) -> None:
    run, client = make_run(owner), api(owner)

    with django_assert_num_queries(1 + len(("session", "user"))):
        response = client.get(f"/tasks/{run.pk}/")

    assert response.status_code == 200
    assert response.json()["message"] == "func_1: 4 of 10"
    assert [step["state"] for step in response.json()["steps"]] == ["PROGRESS", "PENDING"]
    assert response.json()["created_at"].endswith("Z")


def test_a_child_is_read_under_its_own_id(
    owner: User, api: Api, make_run: MakeRun, django_assert_num_queries: Any
) -> None:
    run, client = make_run(owner), api(owner)
    child_id = run.steps.get(name="func_1").task_id

    with django_assert_num_queries(1 + len(("session", "user"))):
        status = client.get(f"/tasks/{child_id}/").json()

    assert (status["task_id"], status["run_id"]) == (str(child_id), str(run.pk))
    assert status["completion"] == 40.0


@pytest.mark.parametrize("method", ["get", "delete"])
def test_another_users_run_does_not_exist_for_me(
    owner: User, other: User, api: Api, make_run: MakeRun, method: str
) -> None:
    run = make_run(owner, state="SUCCESS")
    child_id = run.steps.get(name="func_1").task_id

    for task_id in (run.pk, child_id, uuid4()):
        assert getattr(api(other), method)(f"/tasks/{task_id}/").status_code == 404
    assert api(other).get("/tasks/").json()["results"] == []
    assert Run.objects.filter(pk=run.pk).exists()


def test_staff_see_every_run_and_nobodys_too(
    owner: User, staff: User, api: Api, make_run: MakeRun
) -> None:
    runs = [make_run(owner), make_run(None)]

    listed = api(staff).get("/tasks/").json()["results"]

    assert {run["task_id"] for run in listed} == {str(run.pk) for run in runs}


def test_the_list_is_newest_first_in_pages_of_two_statements_each(
    owner: User, api: Api, make_run: MakeRun, django_assert_max_num_queries: Any
) -> None:
    runs, client, listed = [make_run(owner) for _ in range(53)], api(owner), []
    url: str | None = "/tasks/"

    while url:
        with django_assert_max_num_queries(2 + len(("session", "user"))):
            page = client.get(url).json()
        listed += [status["task_id"] for status in page["results"]]
        url = page["next"]

    assert listed == [str(run.pk) for run in reversed(runs)]


def test_the_list_can_be_narrowed(owner: User, api: Api, make_run: MakeRun) -> None:
    failed = make_run(owner, state="FAILURE", error="Error in func_1: no")
    other_flow = make_run(owner, workflow="csv_profile")
    make_run(owner)

    def ids(query: str) -> set[str]:
        response = api(owner).get(f"/tasks/?{query}")
        return {status["task_id"] for status in response.json()["results"]}

    assert ids("state=FAILURE") == {str(failed.pk)}
    assert ids("workflow=csv_profile") == {str(other_flow.pk)}
    assert ids(f"ids={failed.pk},{other_flow.pk},{uuid4()}") == {
        str(failed.pk),
        str(other_flow.pk),
    }


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=BUSY", "state"),
        ("ids=1,2", "ids"),
        ("ids=" + ",".join([NOBODYS] * 101), "ids"),
        ("ids=", "ids"),
        ("ids=,", "ids"),
        (f"ids={NOBODYS}&state=FAILURE", "state"),
        (f"ids={NOBODYS}&cursor=cD0x", "cursor"),
        ("workflow=%00", "workflow"),
        ("state=PENDING&state=FAILURE", "state"),
        ("stat=FAILURE", "stat"),
        ("cursor=nonsense", "cursor"),
        ("cursor=cD0x", "cursor"),  # p=1
        ("cursor=cD0yMDI1LTAxLTAx", "cursor"),  # p=2025-01-01, without a zone
        # p=0001-01-01T00:00:00+14:00, which in UTC is before all time
        ("cursor=cD0wMDAxLTAxLTAxVDAwJTNBMDAlM0EwMCUyQjE0JTNBMDA=", "cursor"),
    ],
)
def test_a_bad_filter_is_named(owner: User, api: Api, query: str, field: str) -> None:
    response = api(owner).get(f"/tasks/?{query}")

    assert response.status_code == 400
    assert list(response.json()["errors"]) == [field]


@pytest.mark.parametrize(
    ("place", "count"),
    [
        ("9999-12-30T00:00:00-23:59:59.999999", 1),
        ("0001-01-01T00:00:00-23:59", 0),
        ("2024-W01-1T00:00:00+15:59:59", 0),
        ("99991230T000000Z", 1),
        ("9999-12-30 00:00:00,5+00:00", 1),
    ],
)
def test_a_cursor_of_any_zone_that_there_is(
    owner: User, api: Api, make_run: MakeRun, place: str, count: int
) -> None:
    """PostgreSQL reads fewer zones than Python, and a client may write a cursor by itself."""
    make_run(owner)
    client = api(owner)
    client.raise_request_exception = False
    cursor = b64encode(urlencode({"p": place}).encode()).decode()

    response = client.get("/tasks/", {"cursor": cursor})

    assert response.status_code == 200
    assert len(response.json()["results"]) == count


def test_deleting_a_run_leaves_nothing_of_it(
    owner: User,
    api: Api,
    make_run: MakeRun,
    django_capture_on_commit_callbacks: Any,
) -> None:
    name = default_storage.save("runs/in.csv", ContentFile(b"a"))
    run, client = make_run(owner, state="SUCCESS", files=[name]), api(owner)

    with django_capture_on_commit_callbacks(execute=True):
        response = client.delete(f"/tasks/{run.pk}/")

    assert response.status_code == 204
    assert not Run.objects.exists()
    assert not Step.objects.exists()
    assert not default_storage.exists(name)
    assert client.get(f"/tasks/{run.pk}/").status_code == 404


def test_a_run_in_progress_cannot_be_deleted(owner: User, api: Api, make_run: MakeRun) -> None:
    run = make_run(owner)

    response = api(owner).delete(f"/tasks/{run.pk}/")

    assert response.status_code == 409
    assert response["Content-Type"] == "application/problem+json"
    assert Run.objects.filter(pk=run.pk).exists()


SPELLINGS: dict[str, Callable[[UUID], str]] = {
    "lower case": str,
    "upper case": lambda id: str(id).upper(),
    "without hyphens": lambda id: id.hex,
    "in upper case without hyphens": lambda id: id.hex.upper(),
    "in braces": lambda id: f"{{{id}}}",
    "as a URN": lambda id: id.urn,
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_all_spellings_of_a_uuid_are_the_same_id(
    owner: User, api: Api, make_run: MakeRun, spelling: Callable[[UUID], str]
) -> None:
    run, client = make_run(owner), api(owner)
    child = UUID(run.steps.get(name="func_1").task_id)

    for task_id in (run.pk, child):
        spelled = quote(spelling(task_id))
        assert client.get(f"/tasks/{spelled}/").json()["task_id"] == str(task_id)
        asked = client.get(f"/tasks/?ids={spelled}").json()["results"]
        assert [status["task_id"] for status in asked] == [str(task_id)]
    spelled = quote(spelling(run.pk))
    assert client.get(f"/runs/{spelled}/").status_code == 200
    assert client.post(f"/tasks/{spelled}/cancel/").status_code == 202


@pytest.mark.parametrize("wrong", ["nope", "0" * 31, "0" * 33, "g" * 32, "-", "%00" + "0" * 31])
def test_an_invalid_id_is_not_found(owner: User, api: Api, wrong: str) -> None:
    assert api(owner).get(f"/tasks/{wrong}/").status_code == 404
    assert api(owner).get(f"/runs/{wrong}/").status_code == 404
