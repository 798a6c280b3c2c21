"""Failed logins are counted, and too many lock the name."""

from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from sesame.utils import get_query_string

WRONG = {"username": "ann", "password": "wrong"}
RIGHT = {"username": "ann", "password": "a long pass phrase"}


@pytest.fixture
def locked_out(client: Client, owner: User, settings: Any) -> Client:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        client.post("/login/", WRONG)
    return client


@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
def test_a_name_is_locked_after_too_many_failures(locked_out: Client, path: str) -> None:
    page = locked_out.post(path, RIGHT, headers={"Accept": "text/html"})

    assert page.status_code == 429
    assert page["Retry-After"] == "900"
    assert "Try again in 15 minutes" in page.content.decode()
    assert "sessionid" not in locked_out.cookies
    assert locked_out.get("/").status_code == 302


def test_a_program_is_told_with_a_problem(locked_out: Client) -> None:
    answer = locked_out.post("/login/", RIGHT)

    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 429


def test_others_come_in_all_the_same(locked_out: Client, other: User, owner: User) -> None:
    """The same name from elsewhere, another name from the same place, a link, and a token."""
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    assert elsewhere.post("/login/", RIGHT).status_code == 302
    bob = {"username": "bob", "password": "another pass phrase"}
    assert locked_out.post("/login/", bob).status_code == 302
    locked_out.logout()
    owner.refresh_from_db()  # a link is made for who has not logged in since
    assert locked_out.get(f"/login/link/{get_query_string(owner)}").status_code == 302


def tries(settings: Any, proxies: int, forwarded: str) -> int:
    """What the last of as many logins answers as lock a name out, sent on by a proxy."""
    settings.PROXIES = proxies
    header = {"X-Forwarded-For": forwarded}
    for _ in range(settings.AXES_FAILURE_LIMIT):
        Client().post("/login/", WRONG, headers=header)
    return Client().post("/login/", RIGHT, headers=header).status_code


def test_behind_a_proxy_others_of_that_name_come_in_as_well(owner: User, settings: Any) -> None:
    assert tries(settings, 1, "192.0.2.7") == 429
    elsewhere = {"X-Forwarded-For": "192.0.2.8"}
    assert Client().post("/login/", RIGHT, headers=elsewhere).status_code == 302


@pytest.mark.parametrize("proxies", [0, 1, 2])
def test_an_address_that_the_client_wrote_itself_does_not_help(
    owner: User, settings: Any, proxies: int
) -> None:
    by_proxies = ["203.0.113.9", "10.0.0.1"][2 - proxies :]
    assert tries(settings, proxies, ", ".join(["192.0.2.7", *by_proxies])) == 429

    others = {"X-Forwarded-For": ", ".join(["192.0.2.8", *by_proxies])}
    assert Client().post("/login/", RIGHT, headers=others).status_code == 429


@pytest.mark.parametrize("forwarded", ["", "unknown", "192.0.2.7"])
def test_a_header_that_says_less_than_it_should_is_not_believed(
    owner: User, settings: Any, forwarded: str
) -> None:
    assert tries(settings, 2, forwarded) == 429
    assert AccessAttempt.objects.get().ip_address == "127.0.0.1"


def test_the_lock_ends(locked_out: Client, settings: Any) -> None:
    AccessAttempt.objects.update(attempt_time=timezone.now() - settings.AXES_COOLOFF_TIME)

    assert locked_out.post("/login/", RIGHT).status_code == 302


def test_a_login_that_succeeds_forgets_those_that_failed(
    client: Client, owner: User, settings: Any
) -> None:
    for _ in range(2):
        for _ in range(settings.AXES_FAILURE_LIMIT - 1):
            assert client.post("/login/", WRONG).status_code == 200
        assert client.post("/login/", RIGHT).status_code == 302
        client.logout()


ODD = [
    *("x" * 151, "x" * 256, "x" * 100_000, "é" * 300, "\U0001f600" * 300, "a\x00b", " ", "\u202e"),
    *("ann\r\nbob", "' OR 1=1 --", "%00", "<b>"),
]


@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
@pytest.mark.parametrize("name", ODD, ids=lambda name: repr(name)[:20])
def test_any_name_that_fails_is_counted_or_refused(
    client: Client, db: None, settings: Any, path: str, name: str
) -> None:
    client.raise_request_exception = False
    form = {"username": name, "password": "wrong", "next": "\x00", "\x00": "x" * 2_000}
    headers = {"User-Agent": "x" * 2_000, "Accept": "text/html, " + "x" * 2_000}

    answers = [
        client.post(f"{path}?next=%00{'x' * 2_000}", form, headers=headers).status_code
        for _ in range(settings.AXES_FAILURE_LIMIT)
    ]

    counted = AccessAttempt.objects.exists()
    assert answers == [*[200] * (settings.AXES_FAILURE_LIMIT - 1), 429 if counted else 200]
    assert counted or not name.strip() or "\x00" in name


def test_no_password_is_kept(locked_out: Client) -> None:
    assert "wrong" not in str(list(AccessAttempt.objects.values()))
