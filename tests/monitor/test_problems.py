"""Problem documents, or HTML pages if the client asked for HTML."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.exceptions import ErrorDetail

from monitor.api import views
from monitor.http.problems import errors_by_field, problem


def test_a_problem_without_fields_says_what_is_wrong() -> None:
    assert problem(404, {"detail": ErrorDetail("Gone.")}) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Gone.",
    }


@pytest.mark.parametrize(
    ("errors", "flat"),
    [
        ({"limit": ["Too big."]}, {"limit": ["Too big."]}),
        ({"size": {"width": ["No."]}}, {"size.width": ["No."]}),
        ({"rows": [{}, {"name": ["No."]}]}, {"rows.1.name": ["No."]}),
        ({"names": {2: ["Blank."]}}, {"names.2": ["Blank."]}),
        (["Wrong."], {"non_field_errors": ["Wrong."]}),
        ({"detail": ["a parameter of that name"]}, {"detail": ["a parameter of that name"]}),
    ],
)
def test_nested_errors_become_one_list_per_field(errors: Any, flat: dict[str, list[str]]) -> None:
    assert errors_by_field(errors) == flat
    assert problem(400, errors)["errors"] == flat


@pytest.mark.parametrize("accept", ["*/*", "application/json", None])
def test_a_program_gets_a_problem_for_an_unknown_address(
    client: Client, accept: str | None
) -> None:
    response = client.get("/nothing/", headers={"Accept": accept} if accept else None)

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["title"] == "Not Found"


def test_a_browser_gets_a_page_for_an_unknown_address(client: Client) -> None:
    response = client.get("/nothing/", headers={"Accept": "text/html,*/*;q=0.8"})

    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


def test_an_unexpected_error_shows_no_internals(
    owner: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(views, "snapshot_of", fail)
    client.force_login(owner)
    client.raise_request_exception = False

    response = client.get("/tasks/00000000-0000-4000-8000-000000000000/")

    assert response.status_code == 500
    assert "secret" not in response.content.decode()
    assert response.json()["title"] == "Internal Server Error"
