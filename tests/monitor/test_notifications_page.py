"""The page of notifications: who sees it, its rules, its log, and its buttons."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from parent import Email, Webhook, Workflow
from parent.models import Delivery, NotificationRule, StoppedWebhook
from parent.notifications.signing import is_secret
from tests.notifications.conftest import SECRET, end, told

__all__ = ["told"]

pytestmark = pytest.mark.django_db

Told = Callable[..., Workflow]
PAGE = reverse("monitor:notifications")
NEW = reverse("monitor:notification-rule-new")
URL = "https://partner.example.com/hook"
WEBHOOK = {"workflow": "", "kind": "webhook", "on": ["failed"], "url": URL, "enabled": "on"}


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("eve"))
    return client


def with_permissions(client: Client, *names: str) -> Client:
    user = User.objects.create(username="bob", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return client


def text_of(client: Client, url: str = PAGE) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def test_people_without_the_permission_see_neither_page_nor_link(client: Client) -> None:
    with_permissions(client)

    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE, {"do": "replay", "key": str(uuid4())}).status_code == 403
    assert client.get(NEW).status_code == 403
    assert PAGE not in text_of(client, reverse("monitor:runs"))


def test_nobody_who_is_not_logged_in_sees_it(client: Client) -> None:
    assert client.get(PAGE).status_code == 302
    assert client.post(NEW, WEBHOOK).status_code == 302
    assert not NotificationRule.objects.exists()


def test_rules_in_code_and_rows_are_listed_without_their_secrets(staff: Client, told: Told) -> None:
    told(Email(on="failed", to="owner"), Webhook(f"{URL}?code", secret=SECRET))
    NotificationRule.objects.create(
        workflow="told", kind="webhook", on=["failed"], url=URL, secret=SECRET
    )

    page = text_of(staff)

    assert f"{URL}?code" in page
    assert "owner" in page
    assert "Tell them" in page
    assert SECRET not in page
    assert PAGE in text_of(staff, reverse("monitor:runs"))


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "started, approval requested, schedule missed"),
        ("de", "begonnen, Entscheidung erbeten, Start verpasst"),
    ],
)
@pytest.mark.parametrize("is_row", [True, False])
def test_occasions_are_words(
    staff: Client, told: Told, language: str, words: str, is_row: bool
) -> None:
    on = ["started", "approval_requested", "schedule_missed"]
    if is_row:
        NotificationRule.objects.create(kind="email", on=on, to=["a@example.com"])
    else:
        told(Email(on=on, to="a@example.com"))

    page = staff.get(PAGE, headers={"accept-language": language}).content.decode()

    assert f"{words} → a@example.com" in page


def test_a_rule_is_added_edited_rotated_and_removed(staff: Client) -> None:
    answer = staff.post(NEW, WEBHOOK, follow=True)
    rule = NotificationRule.objects.get()
    assert is_secret(rule.secret)
    assert rule.secret in answer.content.decode()
    assert rule.secret not in text_of(staff)
    page = reverse("monitor:notification-rule", args=[rule.pk])
    assert URL in text_of(staff, page)

    staff.post(page, WEBHOOK | {"on": ["cancelled"], "enabled": ""})

    rule.refresh_from_db()
    assert (rule.on, rule.enabled) == (["cancelled"], False)
    before = rule.secret
    answer = staff.post(PAGE, {"do": "rotate", "key": rule.pk}, follow=True)
    rule.refresh_from_db()
    assert rule.old_secret == before
    assert rule.secret in answer.content.decode()
    staff.post(PAGE, {"do": "remove", "key": rule.pk})
    assert not NotificationRule.objects.exists()
    assert staff.get(page).status_code == 404


def test_a_rule_that_cannot_be_used_is_a_400_that_says_why(staff: Client) -> None:
    answer = staff.post(NEW, WEBHOOK | {"url": "https://127.0.0.1/", "on": []})

    assert answer.status_code == 400
    assert "is inside the network" in answer.content.decode()
    assert "This field is required" in answer.content.decode()
    assert not NotificationRule.objects.exists()


@pytest.fixture
def delivered(told: Told) -> Delivery:
    end(told(Email(on="succeeded", to="a@example.com")).start())
    Delivery.objects.update(
        state="failed", due_at=None, ended_at=timezone.now(), error="<b>no</b>", attempts=11
    )
    return Delivery.objects.get()


def test_the_log_is_narrowed_and_replayed(staff: Client, delivered: Delivery) -> None:
    page = text_of(staff)
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert "11 tries" in page
    assert str(delivered.run_id)[:8] in text_of(staff, f"{PAGE}?state=failed")
    assert str(delivered.run_id)[:8] not in text_of(staff, f"{PAGE}?state=delivered")
    assert str(delivered.run_id)[:8] in text_of(staff, f"{PAGE}?state=x&from=-1")

    staff.post(PAGE, {"do": "replay", "key": str(delivered.pk)})

    delivered.refresh_from_db()
    assert (delivered.state, delivered.attempts) == ("waiting", 0)


def test_it_has_pages(staff: Client, delivered: Delivery) -> None:
    rows = [
        Delivery(
            run_id=delivered.run_id, kind="email", occasion="failed", target=f"to-{number}@x",
            lane="email", body="{}", state="failed",
            created_at=timezone.now() - timedelta(minutes=number + 1),
        )
        for number in range(60)
    ]  # fmt: skip
    Delivery.objects.bulk_create(rows)

    assert "to-48@x" in text_of(staff)
    assert "to-49@x" not in text_of(staff)
    older = text_of(staff, f"{PAGE}?from=50")
    assert "to-49@x" in older
    assert "to-48@x" not in older
    assert "Older deliveries" not in older


def test_a_stopped_webhook_is_switched_on(staff: Client) -> None:
    StoppedWebhook.objects.create(digest="a" * 64, url=URL)
    assert URL in text_of(staff)

    staff.post(PAGE, {"do": "switch-on", "key": "a" * 64})

    assert not StoppedWebhook.objects.exists()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"do": "explode"},
        {"do": "replay", "key": "x"},
        {"do": "rotate", "key": "x"},
        {"do": "remove", "key": ""},
    ],
)
def test_an_action_that_there_is_not_is_a_404(staff: Client, data: dict[str, str]) -> None:
    assert staff.post(PAGE, data).status_code == 404


ACTIONS = ["replay", "rotate", "remove", "switch-on"]


@pytest.mark.parametrize("what", ACTIONS)
def test_who_may_only_look_has_no_buttons(client: Client, delivered: Delivery, what: str) -> None:
    rule = NotificationRule.objects.create(kind="webhook", on=["failed"], url=URL, secret=SECRET)
    stopped = StoppedWebhook.objects.create(digest="a" * 64, url=URL)
    keys = {"replay": delivered.pk, "rotate": rule.pk, "remove": rule.pk, "switch-on": stopped.pk}
    with_permissions(client, "view_delivery")

    page = text_of(client)
    answer = client.post(PAGE, {"do": what, "key": keys[what]})

    assert 'name="do"' not in page
    assert answer.status_code == 403
    delivered.refresh_from_db()
    rule.refresh_from_db()
    stopped.refresh_from_db()
    assert (delivered.state, rule.secret) == ("failed", SECRET)
