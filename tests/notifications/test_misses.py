"""Times of a schedule that start no run: who is told, and why."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from standardwebhooks.webhooks import Webhook as Verifier

from parent import Email, Schedule, Step, Webhook, Workflow
from parent.messages.publish import publishing_off
from parent.models import Delivery, Firing, NotificationRule
from parent.models import Schedule as Row
from parent.notifications.outbox import replay
from parent.schedules import control
from parent.schedules.fire import fire
from parent.schedules.sync import sync
from tests.flows import tasks
from tests.notifications.conftest import SECRET, Mails, deliver
from tests.notifications.receiver import Receiver
from tests.schedules.conftest import NOON, HourParams, at, no_inputs

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]

MISSED = "schedule_missed"
TO = "a@example.com"
PAGE = reverse("monitor:notifications")
Prepare = Callable[[Row], object]


def hourly(*rules: Any, **options: Any) -> Row:
    """A schedule of every hour, due at noon, of a workflow with these rules."""
    schedules = [Schedule("0 * * * *", **options)]
    steps = [Step(tasks.noop, inputs=no_inputs)]
    Workflow(
        "hourly", title="Hourly", params=HourParams, steps=steps, schedules=schedules,
        notify=[*rules],
    )  # fmt: skip
    sync()
    Row.objects.update(next_at=NOON, due_at=NOON)
    return Row.objects.get()


def fired(row: Row, minutes: float = 0) -> None:
    with publishing_off():
        fire(row.pk, at(minutes))


def twice(row: Row) -> None:
    fired(row)
    fired(row, 60)


def three_times(row: Row) -> None:
    twice(row)
    fired(row, 120)


def hours_late(row: Row) -> None:
    fired(row, 150)


def with_wrong_params(row: Row) -> None:
    Row.objects.update(params={"limit": 0})
    fired(row)


def paused(row: Row) -> None:
    control.pause(row.pk, who="eve")
    control.resume(row.pk, who="eve")


def by_hand(row: Row) -> None:
    fired(row)
    with publishing_off():
        control.run_now(row.pk, who="eve")


MISSES: list[tuple[str, dict[str, Any], Prepare, list[tuple[str, str, str, int]]]] = [
    ("started", {}, fired, []),
    ("overlap", {}, twice, [("SKIPPED", "overlap", "had not ended", 1)]),
    ("waits", {"overlap": "queue"}, twice, []),
    ("replaced", {"overlap": "cancel_running", "catch_up": "all"}, hours_late,
     [("SKIPPED", "replaced", "A later start took its place", 1)]),
    ("nobody watched", {}, hours_late, [("SKIPPED", "missed", "No worker watched in time", 3)]),
    ("refused", {}, with_wrong_params, [("REFUSED", "", "greater than or equal to 1", 1)]),
    ("paused", {}, paused, []),
    ("by hand", {}, by_hand, []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "what", "expected"), [each[1:] for each in MISSES], ids=[each[0] for each in MISSES]
)
def test_a_time_that_starts_no_run_says_why(
    options: dict[str, Any], what: Prepare, expected: list[tuple[str, str, str, int]]
) -> None:
    row = hourly(Email(on=MISSED, to=TO), **options)

    what(row)

    found = [json.loads(each.body) for each in Delivery.objects.order_by("created_at")]
    assert len(found) == len(expected)
    for event, (state, reason, detail, count) in zip(found, expected, strict=True):
        data = event["data"]
        assert event["type"] == "schedule.missed"
        assert (data["state"], data["reason"], data["count"]) == (state, reason, count)
        assert detail in data["detail"]
        assert (data["workflow"], data["schedule"], data["schedule_id"]) == (
            "hourly", "default", row.pk,
        )  # fmt: skip
        firing = Firing.objects.get(state=state, reason=reason)
        assert data["nominal_at"] == firing.nominal_at.isoformat()


def test_a_webhook_gets_it(hook: Receiver) -> None:
    row = hourly(Webhook(hook.url, secret=SECRET, on=[MISSED, "started"]))
    fired(row, 150)

    deliver()

    [post] = hook.all()
    event = Verifier(SECRET).verify(post.body, post.headers)
    assert event["type"] == "schedule.missed"
    assert event["data"]["until"] == at(120).isoformat()
    assert Delivery.objects.get().state == "delivered"


def test_a_mail_says_why_and_leads_to_the_schedule(mails: Mails) -> None:
    row = hourly(Email(on=MISSED, to=["owner", "admins"]))
    fired(row, 150)

    deliver()

    [message] = mails.all()
    assert message["Subject"] == "Hourly was not started"
    assert message["X-Envelope-To"] == "ops@example.com, lead@example.com"
    for kind in ("plain", "html"):
        text = message.get_body([kind]).get_content()
        assert "No worker watched in time" in text
        assert f"https://flows.example.com/timetable/{row.pk}/" in text
        assert "3 times" in text
        assert re.search(r"\d+ \w{3} \d{4}, \d\d:\d\d:\d\d UTC", text)
        assert not re.search(r"\d\dT\d\d:", text)


def test_mails_about_one_schedule_are_one_thread(mails: Mails) -> None:
    row = hourly(Email(on=MISSED, to=TO))
    three_times(row)

    deliver()

    first, second = mails.all()
    assert first["References"] == second["References"]


def test_rows_are_rules_too() -> None:
    NotificationRule.objects.create(kind="email", on=[MISSED, "started"], to=["owner", TO])
    NotificationRule.objects.create(kind="email", on=[MISSED], to=["owner"])

    twice(hourly())

    rows = Delivery.objects.values_list("occasion", "target")
    assert sorted(rows) == [(MISSED, f"owner, {TO}"), ("started", f"owner, {TO}")]


def test_a_time_without_a_rule_costs_one_statement_more(
    django_assert_max_num_queries: Any,
) -> None:
    NotificationRule.objects.create(workflow="other", kind="email", on=[MISSED], to=[TO])
    row = hourly()

    with django_assert_max_num_queries(30) as captured:
        fired(row, 150)

    texts = [query["sql"] for query in captured.captured_queries]
    assert sum("parent_notificationrule" in text for text in texts) == 1
    assert not any("parent_delivery" in text for text in texts)


@pytest.mark.parametrize("what", ["schedule", "firing"])
def test_it_is_deleted_with_the_row_of_its_time(what: str) -> None:
    fired(hourly(Email(on=MISSED, to=TO)), 150)
    assert Delivery.objects.count() == 1

    (Row if what == "schedule" else Firing).objects.all().delete()

    assert not Delivery.objects.exists()


def test_what_an_earlier_release_left_without_its_schedule_is_sent(mails: Mails) -> None:
    fired(hourly(Email(on=MISSED, to=TO)), 150)
    Firing.objects.all()._raw_delete("default")  # it knows no such deliveries

    deliver()

    [message] = mails.all()
    assert message["Subject"] == "Hourly was not started"
    assert str(Delivery.objects.get()).startswith("schedule_missed of a deleted schedule")


@pytest.fixture
def missed() -> Delivery:
    fired(hourly(Email(on=MISSED, to=TO)), 150)
    Delivery.objects.update(state="failed", due_at=None, error="it answered 500")
    return Delivery.objects.get()


def reader(client: Client, *names: str) -> Client:
    user = User.objects.create(username="bob", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return client


def test_the_page_shows_it_to_those_who_see_schedules(client: Client, missed: Delivery) -> None:
    html = reader(client, "view_delivery", "view_schedule", "change_delivery").get(PAGE)

    text = html.content.decode()
    assert "Schedule missed" in text
    assert missed.firing is not None
    assert f'href="/timetable/{missed.firing.schedule_id}/"' in text
    client.post(PAGE, {"do": "replay", "key": str(missed.pk)})
    missed.refresh_from_db()
    assert missed.state == "waiting"


def test_and_not_to_others(client: Client, missed: Delivery) -> None:
    client = reader(client, "view_delivery", "change_delivery")

    assert "Schedule missed" not in client.get(PAGE).content.decode()
    client.post(PAGE, {"do": "replay", "key": str(missed.pk)})
    missed.refresh_from_db()
    assert missed.state == "failed"


def test_the_admin_shows_finds_and_replays_it(client: Client, missed: Delivery) -> None:
    client.force_login(User.objects.create_superuser("eve"))
    rows = reverse("admin:parent_delivery_changelist")

    assert "hourly/default" in client.get(rows, {"q": "default"}).content.decode()
    page = client.get(reverse("admin:parent_delivery_change", args=[missed.pk])).content.decode()
    assert "hourly/default" in page
    client.post(rows, {"action": "replay", "_selected_action": [missed.pk]})
    missed.refresh_from_db()
    assert missed.state == "waiting"


def test_a_replay_sends_the_same(hook: Receiver, settings: LazySettings) -> None:
    fired(hourly(Webhook(hook.url, secret=SECRET, on=MISSED)), 150)
    deliver()

    assert replay(Delivery.objects.values_list("pk", flat=True)) == 1
    deliver()

    first, second = hook.all()
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
