"""Bad requests, which anybody can repeat, are one log line without error or traceback."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.test import Client

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=edge"
FIELDS = "&".join(f"f{n}=1" for n in range(1_500))
FILE = b'--edge\r\nContent-Disposition: form-data; name="f%d"; filename="a"\r\n\r\nx\r\n'
FILES = b"".join(FILE % n for n in range(200)) + b"--edge--\r\n"
Ask = Callable[[Client], Any]


def post(path: str, body: bytes | str, kind: str) -> Ask:
    return lambda client: client.generic("POST", path, body, content_type=kind)


def get(path: str, **headers: str) -> Ask:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda client: client.get(path, headers=named)


NUISANCES: dict[str, Ask] = {
    "another host": get("/", Host="evil.example.com"),
    "a host that is none": get("/healthz", Host="a b<script>"),
    "a host of a program": get("/tasks/", Host="evil.example.com", Accept="application/json"),
    "too many fields": post("/workflows/noops/", FIELDS, FORM),
    "too many fields of a page": post("/start/main_flow/", FIELDS, FORM),
    "too many fields of a login": post("/login/", FIELDS, FORM),
    "too many parameters": get(f"/tasks/?{FIELDS}"),
    "too many parameters of a page": get(f"/runs/?{FIELDS}"),
    "too many parameters of the admin": get(f"/admin/?{FIELDS}"),
    "too many files": post("/workflows/csv_profile/", FILES, MULTIPART),
    "too many files at the login": post("/login/", FILES, MULTIPART),
    "multipart without boundary": post("/login/", b"--edge", "multipart/form-data"),
    "broken multipart": post("/workflows/noops/", b"--edge\r\nbroken", MULTIPART),
    "a charset that is none": post("/login/", b"a=b", f"{FORM}; charset=zlib"),
    "broken JSON": post("/workflows/noops/", b"{", "application/json"),
    "bad cookies": get("/login/", Cookie="sessionid=\x01; csrftoken=x; a=b=c;;;=,"),
    "a session that was tampered with": get("/runs/", Cookie="sessionid=../../etc/passwd"),
    "a token that is none": get("/tasks/", Authorization="Token \x00\xff"),
    "NUL in a path": get("/static/%00.css"),
    "a link that is none": get("/login/link/?sesame=%00%ff"),
    "a method that is none": lambda client: client.generic("BREW", "/tasks/"),
    "without a CSRF token": lambda _: Client(enforce_csrf_checks=True).post("/login/", {"a": "b"}),
}


@pytest.mark.parametrize("who", ["a stranger", "a user"])
@pytest.mark.parametrize("nuisance", NUISANCES)
def test_a_refused_request_is_not_logged_as_an_error(
    owner: User, log: Callable[[], list[dict[str, Any]]], nuisance: str, who: str
) -> None:
    client = Client(raise_request_exception=False)
    if who == "a user":
        client.force_login(owner)

    response = NUISANCES[nuisance](client)
    response.close()

    assert response.status_code < 500
    lines = [line for line in log() if not line["logger"].startswith(("monitor.", "axes."))]
    assert len(lines) <= 1
    assert {line["level"] for line in lines} <= {"warning", "info"}
    assert not any("exception" in line for line in lines)
    assert all(len(line["message"]) < 1_000 for line in lines)


def test_a_server_error_is_logged_as_an_error(
    owner: User, log: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise DatabaseError("ours")

    monkeypatch.setattr("monitor.pages.views.StartPage.get", fail)
    client = Client(raise_request_exception=False)
    client.force_login(owner)

    client.get("/")

    (error,) = [line for line in log() if line["level"] == "error"]
    assert "DatabaseError: ours" in error["exception"]
