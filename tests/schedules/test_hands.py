"""What staff do to schedules: in the admin, by the command, and what the doctor tells them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from parent import Schedule
from parent.models import Firing, Run
from parent.models import Schedule as Row
from parent.operations.doctor import schedules as doctor
from parent.schedules.control import edit, pause
from parent.schedules.sync import sync
from parent.schedules.ticks import fire_due
from tests.schedules.conftest import HOUR, NOON, at

pytestmark = pytest.mark.django_db

Hourly = Callable[..., Row]
LIST = reverse("admin:parent_schedule_changelist")
ADD = reverse("admin:parent_schedule_add")


def page_of(row: Row) -> str:
    return reverse("admin:parent_schedule_change", args=[row.pk])


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("eve"))
    return client


def fields(**changes: Any) -> dict[str, Any]:
    inline = {f"firings-{name}_FORMS": "0" for name in ("TOTAL", "INITIAL", "MIN_NUM", "MAX_NUM")}
    return {
        **{"cron": "0 * * * *", "every": "", "timezone": "UTC", "params": "{}"},
        **{"overlap": "skip", "catch_up": "none", "window": "86400", "jitter": "0"},
        **inline,
        **changes,
    }


def workflow(*words: str) -> str:
    """What the command prints to stdout."""
    stdout = StringIO()
    call_command("workflow", "schedules", *words, stdout=stdout, stderr=StringIO())
    return stdout.getvalue()


def refusal(*words: str) -> str:
    with pytest.raises(CommandError) as refused:
        workflow(*words)
    return str(refused.value)


def test_the_admin_lists_and_shows_schedules_with_what_became_of_their_times(
    staff: Client, hourly: Hourly
) -> None:
    row = hourly()
    fire_due(at(0.1))
    fire_due(at(60.1))

    assert "hourly/default" in staff.get(LIST).text
    page = staff.get(page_of(row)).text
    run = Run.objects.get()
    assert str(run.pk) in page
    assert f"run {run.pk} had not ended" in page
    assert staff.get(ADD).status_code == 200


def test_an_edit_in_the_admin_wins_over_the_code(staff: Client, hourly: Hourly) -> None:
    row = hourly()

    answer = staff.post(page_of(row), fields(cron="30 6 * * *", timezone="Europe/Rome"))
    sync()

    assert answer.status_code == 302
    row.refresh_from_db()
    assert (row.cron, row.timezone) == ("30 6 * * *", "Europe/Rome")
    assert (row.edited, row.edited_by) == (["cron", "timezone"], "eve")
    assert row.due_at is not None
    assert row.due_at > datetime.now(UTC)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cron": "0 0 31 2 *"}, "never comes"),
        ({"timezone": "Mars"}, "no time zone"),
        ({"params": '{"limit": 0}'}, "greater than or equal to 1"),
        ({"params": "{"}, "valid JSON"),
        ({"every": "60"}, "not both"),
    ],
)
def test_the_admin_refuses_what_cannot_be(
    staff: Client, hourly: Hourly, changes: dict[str, str], told: str
) -> None:
    row = hourly()

    answer = staff.post(page_of(row), fields(**changes))

    assert answer.status_code == 200
    assert told in answer.text
    row.refresh_from_db()
    assert (row.cron, row.edited) == ("0 * * * *", [])


def test_staff_add_a_schedule_and_delete_it(staff: Client, hourly: Hourly) -> None:
    declared = hourly()

    answer = staff.post(ADD, fields(workflow="hourly", name="mine", cron="", every="60"))

    assert answer.status_code == 302
    row = Row.objects.get(name="mine")
    assert (row.every, row.declared, row.edited_by) == (60, None, "eve")
    assert row.due_at is not None
    assert "already exists" in staff.post(ADD, fields(workflow="hourly", name="mine")).text
    delete = reverse("admin:parent_schedule_delete", args=[row.pk])
    assert staff.post(delete, {"post": "yes"}).status_code == 302
    of_code = reverse("admin:parent_schedule_delete", args=[declared.pk])
    assert staff.post(of_code, {"post": "yes"}).status_code == 403
    assert [row.name for row in Row.objects.all()] == ["default"]


def test_actions_of_the_admin_pause_resume_run_and_reset(staff: Client, hourly: Hourly) -> None:
    row = hourly()
    edit(row.pk, {"jitter": 9}, who="ann")

    def act(name: str) -> str:
        chosen = {"action": name, "_selected_action": [row.pk]}
        text = staff.post(LIST, chosen, follow=True).text
        row.refresh_from_db()
        return text

    assert "default: paused." in act("pause")
    assert (row.paused_by, row.due_at) == ("eve", None)
    assert "default: resumed." in act("resume")
    assert row.paused_at is None
    assert str(act("run_now")).count(str(Run.objects.get().pk)) == 1
    assert "default: reset." in act("reset")
    assert row.jitter == 0
    assert Firing.objects.get(run__isnull=False).who == "eve"


def test_staff_without_the_permission_cannot_change_any(client: Client, hourly: Hourly) -> None:
    row = hourly()
    client.force_login(User.objects.create_user("bob", is_staff=True))

    assert client.get(LIST).status_code == 403
    assert client.post(page_of(row), fields(cron="1 1 * * *")).status_code == 403


def test_the_command_lists_what_comes_and_what_was(hourly: Hourly) -> None:
    row = hourly()
    fire_due(at(0.1))
    fire_due(at(60.1))
    edit(row.pk, {"jitter": 9}, who="ann")

    told = workflow()

    assert told.startswith("hourly/default: 0 * * * * UTC\n")
    for part in ("edited by ann: jitter", "next: ", f"run {Run.objects.get().pk}", "skipped: "):
        assert part in told
    assert workflow("list", "hourly") == workflow("list", "hourly/default") == told
    assert "There is no schedule 'daily'; there are: hourly/default." in refusal("list", "daily")


def test_the_command_enters_what_the_code_has(declare: Callable[..., None]) -> None:
    declare(Schedule(every=60, name="minutely"))

    assert "hourly/minutely: every 60 s" in workflow()


def test_without_a_schedule_the_command_says_how_to_give_one(declare: Callable[..., None]) -> None:
    declare()

    assert "schedules=[Schedule(...)]" in workflow()


def test_the_command_pauses_resumes_runs_and_resets(hourly: Hourly) -> None:
    row = hourly()

    assert workflow("pause", "hourly", "--as", "ann") == "hourly/default is paused.\n"
    assert "paused by ann since" in workflow()
    assert "next: " not in workflow()
    started = workflow("run", "hourly", "--as", "ann").strip()
    assert str(Run.objects.get().pk) == started
    assert "Nothing was started: run" in refusal("run", "hourly")
    assert workflow("resume", "hourly/default") == "hourly/default goes on.\n"
    edit(row.pk, {"cron": "1 1 * * *"}, who="ann")
    assert workflow("reset", "hourly") == "hourly/default is as the code has it.\n"
    row.refresh_from_db()
    assert (row.cron, row.edited) == ("0 * * * *", [])


@pytest.mark.parametrize("action", ["pause", "resume", "run", "reset"])
def test_the_command_needs_a_name_that_is_there(hourly: Hourly, action: str) -> None:
    hourly()

    assert "Which one?" in refusal(action)
    assert "There is no schedule 'hourly/other'" in refusal(action, "hourly/other")
    for name in ("\udcff", "hourly/\udcff", "\0"):  # bytes that are no UTF-8 come like this
        assert f"There is no schedule {name!r}" in refusal(action, name)


def test_the_command_says_what_the_code_has_no_more(
    declare: Callable[..., None], hourly: Hourly
) -> None:
    hourly()
    declare()

    assert "off: the code has it no more" in workflow()
    assert "no schedule 'default' any more" in refusal("resume", "hourly")


def test_the_doctor_names_what_is_late_paused_refused_and_off(hourly: Hourly) -> None:
    row = hourly()
    Row.objects.update(params={"limit": 0})
    assert next(found.what for found in doctor.late()).startswith("hourly/default is late by ")

    fire_due(at(0.1))
    [refused] = doctor.refused()
    assert "the last start of hourly/default was refused: limit" in refused.what
    pause(row.pk, who="ann")
    Row.objects.update(problem="It cannot come.")

    told = [found.what for found in doctor.off()]
    assert told[0].startswith("hourly/default was paused by ann")
    assert told[1] == "hourly/default: It cannot come."


def test_the_doctor_finds_what_a_wrong_clock_took_too_far(hourly: Hourly) -> None:
    row = hourly()
    far = datetime.now(UTC) + timedelta(days=400)
    Row.objects.update(next_at=far, due_at=far)

    [found] = doctor.late()

    assert "comes only at" in found.what
    call_command("workflow", "schedules", "pause", "hourly", stdout=StringIO())
    call_command("workflow", "schedules", "resume", "hourly", stdout=StringIO())
    row.refresh_from_db()
    assert row.next_at is not None
    assert row.next_at < datetime.now(UTC) + HOUR
    assert list(doctor.late()) == []


def test_the_doctor_says_where_nobody_knows_the_workflow(hourly: Hourly) -> None:
    hourly()
    Row.objects.update(workflow="elsewhere", next_at=NOON)

    [found] = doctor.late()

    assert "elsewhere" in found.do


def test_secrets_among_the_params_are_hidden_and_kept(
    staff: Client, hourly: Hourly, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rest_framework import serializers

    from tests.schedules.conftest import HourParams

    monkeypatch.setitem(
        HourParams._declared_fields,
        "key",
        serializers.CharField(required=False, style={"input_type": "password"}),
    )
    row = hourly(params={"key": "hunter2", "limit": 1})
    page = staff.get(page_of(row)).text
    assert "hunter2" not in page

    params = json.dumps({"key": "••••••", "limit": 5})
    assert staff.post(page_of(row), fields(params=params)).status_code == 302

    row.refresh_from_db()
    assert row.params == {"key": "hunter2", "limit": 5}
