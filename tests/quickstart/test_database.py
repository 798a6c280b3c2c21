"""What `up` does with the database before anything starts."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from quickstart import account
from quickstart.errors import DatabaseUnusable
from quickstart.machine import prepare_database

pytestmark = pytest.mark.django_db(transaction=True)

READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET default_transaction_read_only = on",
}


def test_the_local_user_comes_in_by_link_and_token_and_has_no_password() -> None:
    lines = prepare_database(9000).splitlines()

    user = User.objects.get(username=account.USERNAME)
    assert user.is_superuser
    assert not user.has_usable_password()
    assert re.fullmatch(r"ready: http://127\.0\.0\.1:9000/login/link/\?sesame=\S+", lines[0])
    assert f"Authorization: Token {account.api_token(user)}" in lines[1]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("hosts", "host"),
    [
        (["localhost", "127.0.0.1"], "127.0.0.1"),
        (["localhost"], "localhost"),
        (["[::1]", "LOCALHOST"], "localhost"),
        ([".localhost"], "localhost"),
        (["*"], "127.0.0.1"),
        ([], "127.0.0.1"),
    ],
)
def test_link_and_curl_are_under_a_name_that_is_allowed(
    settings: Any, hosts: list[str], host: str
) -> None:
    settings.ALLOWED_HOSTS = hosts

    link, curl = prepare_database(9000).splitlines()

    assert link.startswith(f"ready: http://{host}:9000/login/link/")
    assert curl.endswith(f" http://{host}:9000/workflows/main_flow/")


def test_a_user_of_an_earlier_day_is_kept_as_it_is() -> None:
    user = account.local_user()
    User.objects.filter(pk=user.pk).update(is_staff=False)

    assert account.local_user() == user
    assert not account.local_user().is_staff


def test_a_read_only_database_is_refused_even_when_it_is_up_to_date() -> None:
    prepare_database(9000)
    with connection.cursor() as cursor:
        cursor.execute(READ_ONLY[connection.vendor])

    with pytest.raises(DatabaseUnusable, match=r"read-?only.*make it writable"):
        prepare_database(9000)
