"""Every error is a problem document or an HTML page, with an id that is in the log too."""

import json
import logging
import re
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError
from django.http import HttpRequest
from django.test import Client

from monitor.http import error_pages
from parent.models import Run

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
RUN = UUID("6b1f0d0e-4f0c-4a52-9d6e-0c8e4b2f7a11")
INSIDE = re.compile(r"secret inside|Traceback|SELECT|\.py|/usr/|/tmp/", re.I)


@pytest.fixture
def caller(client: Client, owner: User) -> Client:
    client.force_login(owner)
    client.raise_request_exception = False
    return client


def fail(*_: Any, **__: Any) -> None:
    raise DatabaseError('secret inside: SELECT * FROM "parent_run" in /usr/lib/x.py')


# What is asked, the status, and words of the detail.
ERRORS: list[tuple[dict[str, Any], int, str]] = [
    ({"method": "get", "path": "/nothing/"}, 404, "nothing at this address"),
    ({"method": "get", "path": f"/tasks/{RUN}/"}, 404, "no such task"),
    ({"method": "get", "path": "/tasks/no-uuid/"}, 404, "nothing at this address"),
    ({"method": "get", "path": f"/runs/{RUN}/"}, 404, "no such task"),
    ({"method": "get", "path": "/static/nothing.css"}, 404, "nothing at this address"),
    ({"method": "put", "path": "/tasks/"}, 405, "PUT"),
    ({"method": "put", "path": "/start/main_flow/"}, 405, "this method"),
    ({"method": "get", "path": "/logout/"}, 405, "this method"),
    ({"method": "get", "path": "/tasks/", "headers": {"Accept": "text/csv"}}, 406, "Accept"),
    (
        {"method": "post", "path": "/workflows/main_flow/", "content_type": "text/yaml"},
        *(415, "text/yaml"),
    ),
    ({"method": "post", "path": "/schema/"}, 405, "POST"),
    ({"method": "get", "path": "/schema/", "headers": {"Accept": "text/csv"}}, 406, "Accept"),
    (
        {"method": "get", "path": "/schema/", "headers": {"Authorization": "Token no"}},
        *(401, "token"),
    ),
    ({"method": "post", "path": "/docs/"}, 405, "POST"),
    ({"method": "options", "path": "/docs/"}, 405, "OPTIONS"),
    (
        {"method": "get", "path": "/", "headers": {"Host": "evil.example"}},
        *(400, "cannot be read"),
    ),
    (
        {"method": "get", "path": "/healthz", "headers": {"Cookie": r'sessionid="a\000b"'}},
        *(400, "cookies"),
    ),
    (
        {"method": "post", "path": "/login/", "headers": {"Cookie": "other=a\x00b"}},
        *(400, "cookies"),
    ),
]


@pytest.mark.parametrize(("asked", "status", "words"), ERRORS, ids=lambda v: str(v)[:70])
def test_a_program_gets_a_problem(
    caller: Client, asked: dict[str, Any], status: int, words: str
) -> None:
    asked = {"data": b"x", **asked} if "content_type" in asked else asked
    method = getattr(caller, asked["method"])

    response = method(**{name: asked[name] for name in asked if name != "method"})

    document = response.json()
    assert response.status_code == document["status"] == status
    assert response["Content-Type"] == "application/problem+json"
    assert document["type"] == "about:blank"
    assert words in document["detail"]
    assert document["request_id"] == response["X-Request-ID"]
    assert not INSIDE.search(response.content.decode())


@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("get", "/nothing/", 404, "There is nothing here"),
        ("get", f"/runs/{RUN}/", 404, "There is nothing here"),
        ("put", "/start/main_flow/", 405, "This cannot be done here"),
        ("get", "/logout/", 405, "This cannot be done here"),
    ],
)
def test_a_person_gets_a_page(
    caller: Client, method: str, path: str, status: int, title: str
) -> None:
    response = getattr(caller, method)(path, headers=PAGE)

    text = response.content.decode()
    assert response.status_code == status
    assert f"<h1>{title}</h1>" in text
    assert f"Request {response['X-Request-ID']}" in text
    assert 'action="/logout/"' in text  # who is signed in stays so


def test_a_refused_method_names_those_that_go(caller: Client) -> None:
    assert "POST" in caller.put("/start/main_flow/")["Allow"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("query", ["", "?lang=de"])
def test_an_address_without_its_slash_leads_to_the_one_with_it(
    caller: Client, method: str, query: str
) -> None:
    path = f"/tasks/{RUN}"

    response = caller.generic(method, path + query)

    assert (response.status_code, response["Location"]) == (308, f"{path}/{query}")


def test_a_start_without_the_slash_is_one_all_the_same(caller: Client) -> None:
    response: Any = caller.post("/workflows/noops?lang=de", follow=True)

    assert response.status_code == 202
    assert Run.objects.get().workflow == "noops"


@pytest.mark.parametrize("accept", ["application/json", PAGE["Accept"]])
@pytest.mark.parametrize("path", ["/tasks/", "/"])
def test_an_unexpected_error_is_only_in_the_log(
    caller: Client,
    path: str,
    accept: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("monitor.api.views.visible_runs", fail)
    monkeypatch.setattr("monitor.pages.views.visible_runs", fail)

    response = caller.get(path, headers={"Accept": accept})

    assert response.status_code == 500
    assert not INSIDE.search(response.content.decode())
    assert response["X-Request-ID"] in response.content.decode()
    assert "secret inside" in caplog.text


def test_a_form_from_elsewhere_is_refused_with_words(owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)

    page = client.post("/start/noops/", headers=PAGE)
    problem = client.post("/start/noops/")

    assert (page.status_code, problem.status_code) == (403, 403)
    assert "reload the page" in page.content.decode()
    assert "reload the page" in problem.json()["detail"]


# Bodies


@pytest.fixture
def small(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    settings.MAX_UPLOAD_BYTES = 5000


@pytest.mark.parametrize(("size", "status"), [(4_000, 400), (5_001, 413)])
def test_without_a_limit_of_djangos_a_body_may_be_as_large_as_one_with_files(
    caller: Client, small: None, settings: Any, size: int, status: int
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None
    path = "/workflows/csv_profile/"

    response = caller.post(path, data="x" * size, content_type="application/json")

    assert response.status_code == status


@pytest.mark.parametrize("path", ["/workflows/csv_profile/", "/start/csv_profile/"])
@pytest.mark.parametrize(
    "sent",
    [
        {"data": "x" * 1001, "content_type": "application/json"},
        {"data": "x" * 1001, "content_type": "application/x-www-form-urlencoded"},
        {"data": "x" * 1001, "content_type": "text/anything"},
        {"data": {"file": b"x" * 5000}},
        {"data": {"file": "x" * 1001}},  # a field of a form with files
    ],
    ids=["json", "form", "other", "file", "field"],
)
def test_a_body_over_the_limit_is_refused(
    caller: Client, small: None, path: str, sent: dict[str, Any]
) -> None:
    if isinstance(sent["data"], dict) and isinstance(sent["data"]["file"], bytes):
        sent = {"data": {"file": SimpleUploadedFile("a.csv", sent["data"]["file"])}}

    response = caller.post(path, **sent)

    assert response.status_code == 413
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["request_id"] == response["X-Request-ID"]
    assert not Run.objects.exists()


def test_a_body_within_the_limits_is_read(caller: Client, small: None) -> None:
    file = SimpleUploadedFile("a.csv", b"a,b\n" * 1000)

    assert caller.post("/workflows/csv_profile/", {"file": file}).status_code == 202


def test_a_body_of_unknown_length_is_refused(caller: Client) -> None:
    """Django would read none of it, and take it for an empty one."""
    response = caller.generic("POST", "/workflows/noops/", headers={"Transfer-Encoding": "chunked"})

    assert response.status_code == 411
    assert "Content-Length" in response.json()["detail"]


# Request ids and lines of the log


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("abc-1.2_Z", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        ("a b", False),
        ("a\tb", False),
        ('"><script>', False),
        ("ü", False),
    ],
)
def test_a_proxys_request_id_is_kept_where_it_is_sane(
    client: Client, sent: str, kept: bool
) -> None:
    given = client.get("/healthz", headers={"X-Request-ID": sent})["X-Request-ID"]

    assert (given == sent) is kept
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given)


def test_the_log_has_the_id_and_the_user_in_each_line(
    caller: Client, owner: User, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def speak(request: HttpRequest, *_: Any) -> Any:
        logging.getLogger("a.view").info("in the middle")
        return fail()

    monkeypatch.setattr("monitor.pages.views.StartPage.get", lambda _, request: speak(request))

    response = caller.get("/?sesame=a-secret", headers={"X-Request-ID": "from-the-proxy"})

    lines = log()
    assert response["X-Request-ID"] == "from-the-proxy"
    assert {line["request_id"] for line in lines} == {"from-the-proxy"}
    middle, failure, access = lines
    assert (middle["message"], middle["user"]) == ("in the middle", owner.pk)
    assert "secret inside" in failure["exception"]
    assert access["message"] == "GET / 500"
    assert (access["status"], access["user"]) == (500, owner.pk)
    assert access["milliseconds"] > 0
    assert "a-secret" not in json.dumps(lines)


def test_a_line_after_the_answer_has_the_id_too(caller: Client, log: Any) -> None:
    response = caller.get("/nothing/")

    lines = log()
    assert {line["message"] for line in lines} == {"Not Found: /nothing/", "GET /nothing/ 404"}
    assert {line["request_id"] for line in lines} == {response["X-Request-ID"]}


def test_nobody_is_asked_for_the_user_but_the_view(
    client: Client, owner: User, log: Any, django_assert_num_queries: Any
) -> None:
    client.force_login(owner)

    with django_assert_num_queries(0):
        client.get("/healthz")

    (line,) = log()
    assert line["user"] is None


def test_the_words_cover_every_error_of_a_page() -> None:
    for status, (title, words) in error_pages.WORDS.items():
        assert status >= 400
        assert title
        assert words.endswith(".")
