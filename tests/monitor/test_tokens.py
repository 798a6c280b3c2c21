"""API tokens: shown once, used by programs to authenticate, and stored in no table."""

import re
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from rest_framework.authtoken.models import Token

from monitor.models import ApiToken
from quickstart.account import api_token

Make = Callable[[User, Client], str]


def status_with(token: str, scheme: str = "Token") -> int:
    answer = Client().get("/tasks/", headers={"Authorization": f"{scheme} {token}"})
    return int(answer.status_code)


def by_command(user: User, _: Client) -> str:
    stdout = StringIO()
    call_command("drf_create_token", user.username, stdout=stdout)
    return stdout.getvalue().split()[2]


def in_the_admin(user: User, staff: Client) -> str:
    page = staff.post("/admin/monitor/apitoken/add/", {"user": user.pk}, follow=True)
    (token,) = re.findall(r"\b[0-9a-f]{40}\b", page.content.decode())
    return str(token)


def by_drfs_model(user: User, _: Client) -> str:
    return str(Token.objects.create(user=user).key)


def by_up(user: User, _: Client) -> str:
    return api_token(user)


@pytest.fixture
def admin_client(staff: User) -> Client:
    User.objects.filter(pk=staff.pk).update(is_superuser=True)
    client = Client()
    client.force_login(staff)
    return client


@pytest.mark.parametrize("make", [by_command, in_the_admin, by_drfs_model, by_up])
def test_a_token_opens_the_api_and_is_in_no_table(
    owner: User, admin_client: Client, make: Make
) -> None:
    token = make(owner, admin_client)

    assert status_with(token) == 200
    assert token not in everything_stored()
    assert token not in admin_client.get("/admin/monitor/apitoken/").content.decode()
    assert ApiToken.objects.of(token).user == owner  # type: ignore[union-attr]


def everything_stored() -> str:
    """The rows of all tables, as text."""
    with connection.cursor() as cursor:
        rows = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            rows.append(repr(cursor.fetchall()))
    return "".join(rows)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda token: token[:-1],
        lambda token: token.upper(),
        ApiToken.digest_of,
        lambda token: f"{token} {token}",
        lambda _: "",
        lambda _: "a\x00b",
        lambda _: "ü",
        lambda _: "x" * 5_000,
    ],
    ids=[
        *("cut short", "in capitals", "what is stored of it", "two of them"),
        *("none", "with a NUL", "with another letter", "endless"),
    ],
)
def test_nothing_but_the_token_opens_the_api(owner: User, wrong: Callable[[str], str]) -> None:
    assert status_with(wrong(ApiToken.objects.issue(owner))) == 401


def test_a_user_who_was_locked_out_and_one_whose_token_was_deleted(owner: User) -> None:
    first, second = (ApiToken.objects.issue(owner) for _ in range(2))
    assert status_with(first) == status_with(second) == 200

    ApiToken.objects.of(first).delete()  # type: ignore[union-attr]
    assert (status_with(first), status_with(second)) == (401, 200)

    User.objects.update(is_active=False)
    assert status_with(second) == 401


def test_a_reset_revokes_the_tokens_before(owner: User) -> None:
    before, stdout = ApiToken.objects.issue(owner), StringIO()

    call_command("drf_create_token", owner.username, "--reset", stdout=stdout)

    assert status_with(before) == 401
    assert status_with(stdout.getvalue().split()[2]) == 200


def test_a_token_of_a_user_who_is_not_there(db: None) -> None:
    with pytest.raises(CommandError, match="nobody does not exist"):
        call_command("drf_create_token", "nobody")


@pytest.fixture
def release_before(transactional_db: None) -> Iterator[Any]:
    """The models of the release that stored readable tokens, on its tables."""
    executor = MigrationExecutor(connection)
    yield executor.migrate([("monitor", None)]).apps
    MigrationExecutor(connection).migrate(executor.loader.graph.leaf_nodes())


def test_tokens_of_the_release_before_go_on_to_work_and_are_readable_no_more(
    release_before: Any, owner: User, staff: User
) -> None:
    tokens = ["a1" * 20, "b2" * 20]
    for user, token in zip((owner, staff), tokens, strict=True):
        release_before.get_model("authtoken", "Token").objects.create(key=token, user_id=user.pk)
    kind = release_before.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="authtoken", model="tokenproxy"
    )[0]
    release_before.get_model("admin", "LogEntry").objects.create(
        user_id=staff.pk, content_type=kind, object_id="1", object_repr=tokens[0], action_flag=1
    )

    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())

    assert [status_with(token) for token in tokens] == [200, 200]
    assert not Token.objects.exists()
    assert LogEntry.objects.get().object_repr == "a token"
    assert not any(token in everything_stored() for token in tokens)
