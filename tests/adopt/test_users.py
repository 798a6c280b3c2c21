"""A model of users without a name: who logs in by an address owns, finds and does all the same."""

import re

import pytest

from tests.adopt.conftest import Client, Team
from tests.deploy.conftest import ROOT


def test_the_command_starts_a_run_of_somebody(team: Team, ann: Client) -> None:
    printed = team.manage("workflow", "start", "weigh_all", "parcels=1", "--owner=ann@example.com")

    run = printed.split()[-1]
    assert ann.get(f"/flows/tasks/{run}/").json()["workflow"] == "weigh_all"


NOBODY = "6a1d1f5e-3b52-4e0c-9b0e-1f2f7d8c9a10"
"""The key of no user."""


UNKNOWN = ["zoe@example.com", NOBODY, "ann", ""]
# In one program: to start another takes longer than what it does.
START = """
from django.core.management import execute_from_command_line
for name in {names!r}:
    try:
        words = ["workflow", "start", "weigh_all", "parcels=1", "--owner", name]
        execute_from_command_line(["manage.py", *words])
    except SystemExit as exc:
        print("exit code", exc.code, flush=True)
"""


def test_an_unknown_owner_is_told_by_what_they_log_in_with(team: Team) -> None:
    printed = team.manage("shell", "-v", "0", "-c", START.format(names=UNKNOWN))

    told = printed.split("exit code 1\n")
    assert told.pop() == ""
    for name, words in zip(UNKNOWN, told, strict=True):
        assert f"There is no user whose email is {name!r}" in words
        assert "Traceback" not in words


def test_runs_are_of_their_owners(team: Team, ann: Client, eve: Client) -> None:
    run = eve.post("/flows/workflows/weigh_all/", json={"parcels": 1}).json()["task_id"]

    assert ann.get(f"/flows/tasks/{run}/").status_code == 404
    assert eve.get(f"/flows/tasks/{run}/").status_code == 200


@pytest.mark.parametrize("page", ["parent/run", "monitor/apitoken"])
def test_the_admin_finds_by_address(eve: Client, page: str) -> None:
    answer = eve.get(f"/admin/{page}/", params={"q": "ann@example"})

    assert answer.status_code == 200


def test_the_admin_makes_a_token_that_opens_our_api(team: Team, eve: Client) -> None:
    form = eve.get("/admin/monitor/apitoken/add/")
    [me] = re.findall(
        r"/admin/people/user/([0-9a-f-]{36})/change", eve.get("/admin/people/user/?q=ann").text
    )
    assert 'name="user"' in form.text

    page = eve.post("/admin/monitor/apitoken/add/", data={"user": me}, follow_redirects=True)

    [token] = set(re.findall(r"\b[0-9a-f]{40}\b", page.text))
    with Client(base_url=team.url) as program:
        answer = program.get("/flows/tasks/", headers={"Authorization": f"Token {token}"})
    assert answer.status_code == 200


def test_their_own_tokens_stay(team: Team) -> None:
    make = (
        "from rest_framework.authtoken.models import Token; from people.models import User; "
        "token = Token.objects.create(user=User.objects.get(email='ann@example.com')); "
        "print(Token.objects.filter(key=token.key).count()); token.delete()"
    )

    assert team.manage("shell", "-v", "0", "-c", make).split() == ["1"]


def test_an_address_longer_than_the_history_takes_is_cut(team: Team) -> None:
    cancel = (
        "from shop.workflows import endless; from parent.runs.cancel import cancel; "
        "run = endless.start(); cancel(run.pk, who='x' * 200); print(len(run.events.get().who))"
    )

    assert team.manage("shell", "-v", "0", "-c", cancel).split() == ["150"]


def test_up_makes_its_user(team: Team) -> None:
    make = (
        "from quickstart.account import api_token, local_user; user = local_user(); "
        "print(user.email, user.is_superuser, local_user() == user, len(api_token(user)))"
    )

    # `quickstart` is of the service, which may have the team's model of users.
    printed = team.manage("shell", "-v", "0", "-c", make, PYTHONPATH=str(ROOT))

    assert printed.split() == ["local@localhost", "True", "True", "40"]


def test_up_says_what_it_does_not_know_of_a_user(team: Team) -> None:
    make = (
        "from people.models import User; from quickstart.account import local_user; "
        "from quickstart.errors import UpError\n"
        "User.objects.filter(email='local@localhost').delete()\n"
        "User.REQUIRED_FIELDS = ['id', 'is_active']\n"
        "User._meta.get_field('id').default = __import__('django').db.models.NOT_PROVIDED\n"
        "try:\n    local_user()\nexcept UpError as exc:\n    print(exc)"
    )

    printed = team.manage("shell", "-v", "0", "-c", make, PYTHONPATH=str(ROOT))

    assert "your users need id." in printed
    assert "createsuperuser`, with the email local@localhost." in printed
