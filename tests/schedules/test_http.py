"""Who sees and changes schedules over HTTP and on the pages, and what they get."""

import html
import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from rest_framework import serializers

from parent import Schedule, Step, Workflow
from parent.models import Firing, Run
from parent.models import Schedule as Row
from parent.schedules.sync import sync
from parent.schedules.ticks import fire_due
from tests.flows import tasks
from tests.schedules.conftest import at, no_inputs
from tests.schedules.test_hands import ADD, fields, page_of

pytestmark = pytest.mark.django_db

Hourly = Callable[..., Row]


@pytest.fixture
def may(client: Client) -> Callable[..., Client]:
    """A function that logs a user with these permissions in."""

    def logged_in(*permissions: str) -> Client:
        user = User.objects.create_user("ann")
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return logged_in


ACTIONS = ("pause", "resume", "reset", "run")


def test_a_list_has_what_comes_and_what_was(
    client: Client, may: Callable[..., Client], hourly: Hourly
) -> None:
    hourly(params={"limit": 3})
    fire_due(at(0.1))
    fire_due(at(60.1))

    answer = may("view_schedule").get("/schedules/").json()

    [entry] = answer["results"]
    assert (answer["next"], answer["previous"]) == (None, None)
    assert (entry["workflow"], entry["name"], entry["cron"]) == ("hourly", "default", "0 * * * *")
    assert (entry["params"], entry["in_code"], entry["edited"]) == ({"limit": 3}, True, [])
    assert len(entry["next_times"]) == 5
    assert entry["last"]["run_id"] == str(Run.objects.get().pk)
    assert entry["last"]["nominal_at"] == "2026-06-01T12:00:00Z"
    assert (entry["left_out"]["state"], entry["left_out"]["reason"]) == ("SKIPPED", "overlap")
    assert client.get(f"/schedules/{entry['id']}/").json() == entry


def test_pages_of_the_list_follow_one_another(
    may: Callable[..., Client], declare: Callable[..., None]
) -> None:
    declare(*(Schedule("0 12 * * *", name=f"s{number}") for number in range(60)))
    sync()
    client = may("view_schedule")

    first = client.get("/schedules/").json()
    second = client.get(first["next"]).json()

    names = [entry["name"] for entry in first["results"] + second["results"]]
    assert sorted(names) == sorted(f"s{number}" for number in range(60))
    assert client.get("/schedules/?cursor=nonsense").status_code == 400


def test_without_a_login_or_the_permission_nobody_sees_any(
    client: Client, may: Callable[..., Client], hourly: Hourly
) -> None:
    row = hourly()
    paths = ["/schedules/", f"/schedules/{row.pk}/"]
    assert [client.get(path).status_code for path in paths] == [401, 401]
    client = may()

    answers = [client.get(path) for path in (*paths, "/timetable/", f"/timetable/{row.pk}/")]

    assert [answer.status_code for answer in answers] == [403] * 4
    assert "parent.view_schedule" in answers[0].json()["detail"]
    assert "/timetable/" not in client.get("/runs/").text


def test_who_may_only_see_them_changes_none(may: Callable[..., Client], hourly: Hourly) -> None:
    row = hourly()
    client = may("view_schedule")

    codes = [client.post(f"/schedules/{row.pk}/{action}/").status_code for action in ACTIONS]
    codes += [client.post(f"/timetable/{row.pk}/{action}/").status_code for action in ACTIONS]
    codes += [client.post(f"/timetable/{row.pk}/", {"cron": "1 1 * * *"}).status_code]

    assert codes == [403] * 9
    page = client.get(f"/timetable/{row.pk}/").text
    assert "Run now" not in page
    assert "Save" not in page
    assert not Run.objects.exists()


def test_schedules_of_a_workflow_that_one_may_not_start_are_not_there(
    may: Callable[..., Client], hourly: Hourly
) -> None:
    hourly()
    Workflow(
        "private",
        steps=[Step(tasks.noop, inputs=no_inputs)],
        permission="shop.start_it",
        schedules=[Schedule(every=60)],
    )
    sync()
    row = Row.objects.get(workflow="private")
    client = may("change_schedule")

    [entry] = client.get("/schedules/").json()["results"]

    assert entry["workflow"] == "hourly"
    assert "private" not in client.get("/timetable/").text
    assert client.get(f"/schedules/{row.pk}/").status_code == 404
    codes = [client.post(f"/schedules/{row.pk}/{action}/").status_code for action in ACTIONS]
    assert codes == [404] * 4


def test_pause_resume_reset_and_run(may: Callable[..., Client], hourly: Hourly) -> None:
    row = hourly()
    client = may("change_schedule")

    def post(action: str) -> Any:
        answer = client.post(f"/schedules/{row.pk}/{action}/")
        assert answer.status_code == 200
        return answer.json()

    paused = post("pause")
    assert (paused["paused_by"], paused["next_times"]) == ("ann", [])
    started = post("run")
    assert (started["state"], started["who"]) == ("STARTED", "ann")
    assert started["run_id"] == str(Run.objects.get().pk)
    again = post("run")
    assert (again["state"], again["reason"], again["run_id"]) == ("SKIPPED", "overlap", None)
    assert post("resume")["paused_at"] is None
    Row.objects.update(jitter=5, edited=["jitter"])
    assert (post("reset")["jitter"], Row.objects.get().edited) == (0, [])


def test_what_the_code_has_no_more_is_a_conflict(
    may: Callable[..., Client], declare: Callable[..., None], hourly: Hourly
) -> None:
    row = hourly()
    declare()
    sync()
    client = may("change_schedule")

    answers = [client.post(f"/schedules/{row.pk}/{action}/") for action in ACTIONS[1:]]

    assert [answer.status_code for answer in answers] == [409] * 3
    assert "any more" in answers[0].json()["detail"]
    assert client.post("/schedules/999999999999999999999/run/").status_code == 404
    assert "the code has it no more" in client.get(f"/timetable/{row.pk}/").text


def test_the_document_has_the_operations_for_those_who_may_use_them(
    client: Client, may: Callable[..., Client], hourly: Hourly
) -> None:
    hourly()
    document = may("change_schedule").get("/schema/?format=json").json()

    operations = {
        operation["operationId"]
        for path, methods in document["paths"].items()
        if path.startswith("/schedules/")
        for operation in methods.values()
    }

    expected = {"list_schedules", "read_schedule"}
    for user in (User.objects.create_user("bob"), User.objects.create_superuser("eve")):
        client.force_login(user)
        paths = client.get("/schema/?format=json").json()["paths"]
        assert ("/schedules/" in paths) == user.is_superuser
    assert operations == expected | {f"{action}_schedule" for action in ACTIONS}


def test_an_edit_on_the_page_is_checked_and_wins(
    may: Callable[..., Client], hourly: Hourly
) -> None:
    row = hourly()
    client = may("change_schedule")
    given = {
        **{"cron": "30 6 * * *", "every": "", "timezone": "Europe/Rome", "params": "{}"},
        **{"overlap": "queue", "catch_up": "none", "window": "60", "jitter": "0"},
    }

    refused = client.post(f"/timetable/{row.pk}/", {**given, "cron": "0 0 31 2 *"})
    assert refused.status_code == 400
    assert "It never comes" in refused.text
    assert client.post(f"/timetable/{row.pk}/", given).status_code == 302

    row.refresh_from_db()
    assert (row.cron, row.overlap, row.edited_by) == ("30 6 * * *", "queue", "ann")
    assert row.edited == ["cron", "overlap", "timezone", "window"]


@pytest.mark.parametrize(
    "params",
    [
        *(r'"\ud800"', r'{"limit": "\ud800"}', r'{"\ud800": 1}', r'{"limit": "\u0000"}'),
        *("{", "NaN", '{"limit": Infinity}', '{"limit": 1e999}', '{"limit": %s}' % ("9" * 5_000)),
        *("[" * 100_000, "[" * 500 + "]" * 500, "[1]", "1", '"text"', "[]", "0", "false", '""'),
    ],
    ids=lambda text: text[:20],
)
def test_params_that_nothing_can_store_are_refused_on_the_page(
    may: Callable[..., Client], hourly: Hourly, params: str
) -> None:
    row = hourly()
    client = may("change_schedule")
    client.raise_request_exception = False
    given = {
        **{"cron": "30 6 * * *", "every": "", "timezone": "Europe/Rome", "params": params},
        **{"overlap": "queue", "catch_up": "none", "window": "60", "jitter": "0"},
    }

    refused = client.post(f"/timetable/{row.pk}/", given)

    assert refused.status_code == 400
    assert 'role="alert"' in refused.text
    assert client.get(f"/timetable/{row.pk}/").status_code == 200
    row.refresh_from_db()
    assert row.cron == "0 * * * *"


class OnceOnly(serializers.Serializer[Any]):
    """Accepts each value once, as one that asks the database may."""

    seen: ClassVar[set[str]] = set()
    code = serializers.CharField()

    def validate_code(self, code: str) -> str:
        if code in self.seen:
            raise serializers.ValidationError("It is taken.")
        self.seen.add(code)
        return code


@pytest.mark.parametrize("way", ["page", "admin", "added"])
def test_what_becomes_wrong_after_the_form_was_checked_is_refused(
    client: Client, own_registry: None, way: str
) -> None:
    Workflow("once", params=OnceOnly, steps=[Step(tasks.noop, inputs=no_inputs)])
    row = Row.objects.create(workflow="once", name="mine", cron="0 5 * * *")
    client.force_login(User.objects.create_superuser("eve"))
    client.raise_request_exception = False
    paths = {"page": f"/timetable/{row.pk}/", "admin": page_of(row), "added": ADD}

    given = fields(params=json.dumps({"code": way}), workflow="once", name="other")
    refused = client.post(paths[way], given, headers={"Accept": "application/json"})

    assert refused.status_code == 400
    assert refused.json()["detail"] == "params: code: It is taken."
    assert Row.objects.get().cron == "0 5 * * *"


@pytest.mark.parametrize(
    ("params", "key"),
    [('{"limit": 1, "limit": 2}', "limit"), (r'{"limit": {"a": [{"b": 1, "\u0062": 1}]}}', "b")],
)
def test_a_key_of_the_params_that_is_there_twice_is_named(
    client: Client, hourly: Hourly, params: str, key: str
) -> None:
    row = hourly()
    client.force_login(User.objects.create_superuser("eve"))

    for path in (f"/timetable/{row.pk}/", page_of(row)):
        refused = client.post(path, fields(params=params))
        assert f"the key '{key}' is there twice: send it once." in html.unescape(refused.text)
        assert html.escape(params) in refused.text

    row.refresh_from_db()
    assert (row.params, row.edited) == ({}, [])


def test_the_run_page_tells_which_schedule_started_it(
    may: Callable[..., Client], hourly: Hourly
) -> None:
    hourly()
    fire_due(at(0.1))
    client = may()
    run = Run.objects.get()
    Run.objects.update(owner=User.objects.get())

    page = client.get(f"/runs/{run.pk}/").text

    assert "default, for 2026-06-01T12:00:00+00:00" in page
    assert Firing.objects.get().run_id == run.pk
