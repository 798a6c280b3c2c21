"""What operators see: the admin's pages, metrics, and the doctor."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from monitor.ops.metrics import WorkflowCollector
from parent import Email, Webhook, Workflow
from parent.models import Delivery, NotificationRule, StoppedWebhook
from parent.notifications.signing import is_secret
from parent.operations.doctor.notifications import notifications
from parent.telemetry.metrics import metrics
from tests.notifications.conftest import SECRET, Mails, deliver, end
from tests.notifications.receiver import Receiver, says

pytestmark = pytest.mark.django_db

Told = Callable[..., Workflow]
RULES = reverse("admin:parent_notificationrule_changelist")
ADD = reverse("admin:parent_notificationrule_add")
DELIVERIES = reverse("admin:parent_delivery_changelist")
WEBHOOK = {
    "workflow": "told", "kind": "webhook", "on": ["failed", "recovered"], "to": "",
    "url": "https://partner.example.com/hook", "enabled": "on",
}  # fmt: skip


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("eve"))
    return client


def test_a_webhook_rule_gets_a_secret_which_is_shown_once(staff: Client, told: Told) -> None:
    told()

    answer = staff.post(ADD, WEBHOOK, follow=True)

    rule = NotificationRule.objects.get()
    assert is_secret(rule.secret)
    assert rule.secret in answer.content.decode()
    assert (rule.workflow, rule.on, rule.enabled) == ("told", ["failed", "recovered"], True)
    page = reverse("admin:parent_notificationrule_change", args=[rule.pk])
    assert rule.secret not in staff.get(page).content.decode()
    before = rule.secret
    staff.post(page, WEBHOOK | {"on": ["failed"]})
    rule.refresh_from_db()
    assert (rule.on, rule.secret) == (["failed"], before)


def test_rotating_keeps_the_old_secret_for_a_day(staff: Client) -> None:
    rule = NotificationRule.objects.create(
        kind="webhook", on=["failed"], url="https://a.example.com", secret=SECRET
    )

    data = {"action": "rotate_the_secret", "_selected_action": [rule.pk]}
    answer = staff.post(RULES, data, follow=True)

    rule.refresh_from_db()
    assert rule.old_secret == SECRET
    assert rule.old_secret_until is not None
    left = rule.old_secret_until - timezone.now()
    assert timedelta(hours=23) < left <= timedelta(days=1)
    assert rule.secret in answer.content.decode()
    assert rule.secret != SECRET


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"on": []}, "This field is required"),
        ({"on": ["ended"]}, "not one of the available choices"),
        ({"url": "http://partner.example.com/"}, "is not https"),
        ({"url": "https://10.0.0.1/"}, "is inside the network"),
        ({"kind": "email"}, "has no recipient"),
        ({"kind": "email", "to": "ops@example.com, b"}, "is not an e-mail address"),
        ({"kind": "email", "to": "owner", "on": ["schedule_missed"]}, "a schedule has none"),
        ({"kind": "code"}, "not one of the available choices"),
        ({"workflow": "unheard"}, "not one of the available choices"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(
    staff: Client, told: Told, change: dict[str, Any], text: str
) -> None:
    told()

    answer = staff.post(ADD, WEBHOOK | change)

    assert answer.status_code == 200
    assert text in answer.content.decode()
    assert not NotificationRule.objects.exists()


def test_a_rule_of_the_admin_is_followed(staff: Client, told: Told, mails: Mails) -> None:
    workflow = told()
    email = WEBHOOK | {"kind": "email", "to": "admins, a@example.com", "url": "", "workflow": ""}
    staff.post(ADD, email)

    end(workflow.start(), "Error in noop: bad")
    deliver()

    [message] = mails.all()
    assert message["X-Envelope-To"] == "ops@example.com, lead@example.com, a@example.com"


def test_the_log_shows_each_try_and_replays(staff: Client, told: Told, hook: Receiver) -> None:
    end(told(Webhook(hook.url, secret=SECRET)).start())
    hook.answers = [says(500), says(410), says(200)]
    deliver()
    row = Delivery.objects.get()
    assert "it answered 500" in staff.get(DELIVERIES).content.decode()
    page = staff.get(reverse("admin:parent_delivery_change", args=[row.pk])).content.decode()
    assert "it answered 500" in page
    assert SECRET not in page
    Delivery.objects.update(due_at=timezone.now())
    deliver()
    StoppedWebhook.objects.all().delete()

    staff.post(DELIVERIES, {"action": "replay", "_selected_action": [row.pk]})

    deliver()
    row.refresh_from_db()
    assert (row.state, len(row.log)) == ("delivered", 3)


def test_who_may_only_look_cannot_replay(client: Client, told: Told) -> None:
    user = User.objects.create(username="bob", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    client.force_login(user)
    end(told(Email(on="succeeded", to="a@example.com")).start())
    Delivery.objects.update(state="failed", due_at=None)

    page = client.get(DELIVERIES).content.decode()
    data = {"action": "replay", "_selected_action": [Delivery.objects.get().pk]}
    client.post(DELIVERIES, data)

    assert "replay" not in page.lower()
    assert Delivery.objects.get().state == "failed"


def test_a_stopped_webhook_can_be_switched_on(staff: Client) -> None:
    row = StoppedWebhook.objects.create(digest="a" * 64, url="https://a.example.com")

    staff.post(reverse("admin:parent_stoppedwebhook_delete", args=[row.pk]), {"post": "yes"})

    assert not StoppedWebhook.objects.exists()


def samples() -> dict[str, float]:
    return {
        sample.name: sample.value
        for each in WorkflowCollector().collect()
        for sample in each.samples
    }


def test_metrics_count_outcomes_and_tell_the_age_of_the_oldest(told: Told, hook: Receiver) -> None:
    assert samples()["workflow_notifications_oldest_seconds"] == 0
    workflow = told(Webhook(hook.url, secret=SECRET))
    end(workflow.start())
    Delivery.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    assert 299 < samples()["workflow_notifications_oldest_seconds"] < 400
    hook.answers = [says(500), says(200)]
    metrics.take()
    deliver()
    Delivery.objects.update(due_at=timezone.now())
    deliver()

    assert metrics.take()["workflow_notifications"] == {
        '["webhook", "retried"]': [1], '["webhook", "delivered"]': [1],
    }  # fmt: skip


def test_the_doctor_finds_what_waits_was_given_up_or_stopped(
    told: Told, mails: Mails, settings: LazySettings
) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    assert list(notifications()) == []
    workflow = told(Email(on="succeeded", to="a@example.com"))
    for _ in range(3):
        end(workflow.start())
    one, two, three = Delivery.objects.all()
    old = timezone.now() - timedelta(hours=2)
    Delivery.objects.filter(pk=one.pk).update(due_at=old)
    Delivery.objects.filter(pk=two.pk).update(
        created_at=old, attempts=3, error="it answered 500", due_at=timezone.now()
    )
    Delivery.objects.filter(pk=three.pk).update(state="failed", ended_at=timezone.now())
    StoppedWebhook.objects.create(digest="a" * 64, url="https://a.example.com")
    NotificationRule.objects.create(kind="email", on=["failed"], to=["admins"])
    settings.ADMINS = []

    found = [each.what for each in notifications()]

    assert [text for text in found if "https://a.example.com, which has answered 410" in text]
    assert "1 notifications are due and nobody sends them" in found
    assert [text for text in found if "after 3 tries: it answered 500" in text]
    assert "1 notifications were given up in the last day" in found
    assert "e-mails go to the admins, and ADMINS is empty" in found
    assert len(found) == 5
    assert all(each.do for each in notifications())
