"""The security headers of each response."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.authtoken.models import Token

ELSEWHERE = "https://app.example.com"


@pytest.mark.parametrize(
    "path", ["/", "/login/", "/tasks/", "/nothing/", "/healthz", "/static/monitor/monitor.css"]
)
def test_every_answer_has_the_security_headers(client: Client, owner: User, path: str) -> None:
    client.force_login(owner)

    response = client.get(path)
    response.close()
    headers = response.headers

    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers.get("X-Frame-Options") == (None if path.startswith("/static/") else "DENY")


def ask(path: str, token: str = "") -> Any:
    client = Client()
    preflight = client.options(
        path,
        headers={
            "Origin": ELSEWHERE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,idempotency-key,if-none-match",
        },
    )
    answer = client.get(path, headers={"Origin": ELSEWHERE, "Authorization": f"Token {token}"})
    return preflight, answer


def test_no_other_site_may_call_unless_a_setting_says_so(owner: User) -> None:
    for answer in ask("/tasks/", str(Token.objects.create(user=owner))):
        assert "Access-Control-Allow-Origin" not in answer


def test_a_site_that_is_named_may_call_with_a_token(owner: User, settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = [ELSEWHERE]

    preflight, answer = ask("/tasks/", str(Token.objects.create(user=owner)))

    assert preflight.status_code == answer.status_code == 200
    assert preflight["Access-Control-Allow-Origin"] == ELSEWHERE
    assert answer["Access-Control-Allow-Origin"] == ELSEWHERE
    for name in ("authorization", "idempotency-key", "if-none-match"):
        assert name in preflight["Access-Control-Allow-Headers"]
    assert "Location" in answer["Access-Control-Expose-Headers"]
    # Cookies stay with our own pages.
    assert "Access-Control-Allow-Credentials" not in answer


def test_it_may_read_why_it_was_refused(db: None, settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = [ELSEWHERE]

    _, answer = ask("/tasks/", "wrong")

    assert answer.status_code == 401
    assert answer["Access-Control-Allow-Origin"] == ELSEWHERE


@pytest.mark.parametrize("path", ["/", "/login/", "/admin/login/"])
def test_pages_are_for_no_other_site(db: None, path: str, settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = [ELSEWHERE]

    for answer in ask(path):
        assert "Access-Control-Allow-Origin" not in answer
