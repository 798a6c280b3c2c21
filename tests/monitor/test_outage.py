"""Without the database every response says so, as JSON or HTML."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, connection, connections
from django.test import Client

PROGRAM, PERSON = "application/json", "text/html,*/*;q=0.8"
RUN = UUID("6b1f0d0e-4f0c-4a52-9d6e-0c8e4b2f7a11")


@contextmanager
def database_away(error: type[Exception] = OperationalError) -> Iterator[None]:
    def refuse(*_: Any) -> None:
        raise error("the server closed the connection unexpectedly")

    with connection.execute_wrapper(refuse):
        yield


@pytest.fixture
def caller(client: Client, owner: User) -> Client:
    client.force_login(owner)
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/tasks/"),
        ("get", f"/tasks/{RUN}/"),
        ("get", "/workflows/"),
        ("post", f"/tasks/{RUN}/cancel/"),
        ("post", f"/tasks/{RUN}/retry/"),
        ("post", "/workflows/noops/"),
    ],
)
def test_a_program_gets_a_problem_and_is_told_when_to_ask_again(
    caller: Client, settings: Any, method: str, path: str, debug: bool, error: type[Exception]
) -> None:
    settings.DEBUG = debug

    with database_away(error):
        response = getattr(caller, method)(path, headers={"Accept": PROGRAM})

    assert response.status_code == 503
    assert response["Content-Type"] == "application/problem+json"
    assert response["Retry-After"] == "5"
    assert response.json()["title"] == "Service Unavailable"
    assert "The database does not answer" in response.json()["detail"]
    assert "closed the connection" not in response.content.decode()


@pytest.mark.parametrize("path", ["/", f"/runs/{RUN}/", "/start/main_flow/", "/admin/"])
def test_a_person_gets_a_page(caller: Client, path: str) -> None:
    with database_away():
        response = caller.get(path, headers={"Accept": PERSON})

    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert "The database is away" in response.content.decode()


def test_what_a_middleware_raises_is_answered_as_well(
    caller: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    # The session's middleware writes it once the view has answered.
    settings.SESSION_SAVE_EVERY_REQUEST = True
    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.save", refuse)

    response = caller.get("/tasks/", headers={"Accept": PROGRAM})

    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert response["Content-Type"] == "application/problem+json"


def test_other_errors_are_no_outage(caller: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("monitor.pages.views.visible_runs", fail)

    response = caller.get("/", headers={"Accept": PERSON})

    assert response.status_code == 500
    assert "Retry-After" not in response


def test_the_process_says_that_it_is_up(caller: Client) -> None:
    with database_away():
        assert caller.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", 200), ("/readyz", 503), ("/tasks/", 503), ("/", 503)]
)
def test_where_each_request_is_a_transaction_ours_are_none(
    caller: Client, settings: Any, monkeypatch: pytest.MonkeyPatch, path: str, status: int
) -> None:
    """It would begin before our view, which could not answer then."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    settings.METRICS_TOKEN = "a-token-of-16-letters"
    headers = {"Accept": PROGRAM}
    if path == "/readyz":
        headers["Authorization"] = f"Bearer {settings.METRICS_TOKEN}"

    with database_away():
        response = caller.get(path, headers=headers)

    assert response.status_code == status
    assert response["Content-Type"].startswith(("application/json", "application/problem+json"))


def test_answers_come_again_when_the_database_does(caller: Client) -> None:
    with database_away():
        assert caller.get("/tasks/").status_code == 503

    assert caller.get("/tasks/").status_code == 200
