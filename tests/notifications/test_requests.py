"""Approvals that begin to wait: who is told, and the link that decides."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.test import Client
from standardwebhooks.webhooks import Webhook as Verifier

from children.meta import Meta
from parent import Approval, Email, Signal, Step, Webhook, Workflow, signals
from parent.messages.publish import publishing_off
from parent.models import Delivery, NotificationRule, Run
from parent.models import Step as StepRow
from parent.runs.endings import end_attempt
from parent.runs.signals.give import give
from parent.runs.user_retry.retry import retry
from tests.flows import tasks
from tests.notifications.conftest import SECRET, Mails, deliver, make_due
from tests.notifications.receiver import Receiver

pytestmark = pytest.mark.django_db

ASKED = "approval_requested"
PERMISSION = "parent.view_run"


@pytest.fixture(autouse=True)
def _unpublished(own_registry: None) -> Iterator[None]:
    with publishing_off():
        yield


def flow(*rules: Any, first: bool = False, **options: Any) -> Workflow:
    approval = Approval("release", title="Release it", **options)
    steps = [approval] if first else [Step(tasks.noop), approval]
    return Workflow("priced", title="Priced", steps=steps, notify=[*rules])


def asked(workflow: Workflow, owner: User | None = None) -> Run:
    """A run of it whose approval waits."""
    run = workflow.start(owner)
    for step in run.steps.filter(name="noop"):
        assert end_attempt(str(step.task_id), Meta().ok(1))
    return Run.objects.get(pk=run.pk)


def events(run: Run) -> list[dict[str, Any]]:
    return [json.loads(row.body) for row in run.deliveries.order_by("created_at")]


def user(name: str, *, may: bool = True, **columns: Any) -> User:
    made = User.objects.create(username=name, email=f"{name}@example.com", **columns)
    if may:
        made.user_permissions.add(Permission.objects.get(codename="view_run"))
    return made


def links(message: Any) -> list[str]:
    text = message.get_body(["plain"]).get_content()
    assert message.get_body(["html"]).get_content().count("/decide/") == text.count("/decide/")
    return re.findall(r"https://flows\.example\.com(/decide/\S+)", text)


@pytest.mark.parametrize("first", [True, False], ids=["at the start", "after a step"])
def test_the_event_says_what_is_asked_of_whom_and_until_when(first: bool) -> None:
    rule = Email(on=ASKED, to="a@example.com")

    run = asked(flow(rule, first=first, permission=PERMISSION, timeout=60))

    step = run.steps.get(name="release")
    assert step.queued_at is not None
    [event] = events(run)
    assert event["type"] == "run.approval_requested"
    assert event["data"]["id"] == str(run.pk)
    assert event["data"]["approval"] == {
        "name": "release",
        "title": "Release it",
        "permission": PERMISSION,
        "until": (step.queued_at + timedelta(seconds=60)).isoformat(),
        "task_id": step.task_id,
    }


def test_a_sequence_orders_it_among_the_others() -> None:
    run = asked(flow(Email(on=["started", ASKED, "succeeded"], to="a@example.com")))
    run.signal("release", decision="approve")

    found = events(run)

    assert [each["type"] for each in found] == [
        "run.started", "run.approval_requested", "run.succeeded",
    ]  # fmt: skip
    numbers = [each["data"]["sequence"] for each in found]
    assert numbers == sorted(set(numbers))


def test_a_webhook_gets_it_without_a_link_that_decides(hook: Receiver) -> None:
    run = asked(flow(Webhook(hook.url, secret=SECRET, on=ASKED)), user("ann"))

    deliver()

    [post] = hook.all()
    event = Verifier(SECRET).verify(post.body, post.headers)
    assert event["data"]["approval"]["name"] == "release"
    assert event["data"]["id"] == str(run.pk)
    assert b"/decide/" not in post.body


def test_each_recipient_who_may_decide_gets_a_link_of_their_own(
    mails: Mails, client: Client
) -> None:
    owner, lead = user("ann"), user("lead")
    user("eve", may=False)
    to = ["owner", "admins", "eve@example.com", "nobody@example.com", "lead@example.com"]

    run = asked(flow(Email(on=ASKED, to=to), permission=PERMISSION), owner)
    deliver()

    by_address = {message["X-Envelope-To"]: message for message in mails.all()}
    assert sorted(by_address) == [
        "ann@example.com", "eve@example.com", "lead@example.com", "nobody@example.com",
        "ops@example.com",
    ]  # fmt: skip
    found = {address: links(message) for address, message in by_address.items()}
    with_link = {address for address, paths in found.items() if paths}
    assert with_link == {"ann@example.com", "lead@example.com"}
    assert all("Release it waits for a decision" in each["Subject"] for each in by_address.values())
    assert not any(re.search(r"\d\dT\d\d:", str(each)) for each in by_address.values())
    assert all(f"/runs/{run.pk}/" in str(each) for each in by_address.values())
    assert client.post(found["lead@example.com"][0], {"decision": "approve"}).status_code == 200
    assert run.signals.get().who == lead.username


def test_the_outbox_and_its_log_have_no_link_that_decides(mails: Mails) -> None:
    asked(flow(Email(on=ASKED, to="owner")), user("ann"))

    deliver()

    assert [bool(links(message)) for message in mails.all()] == [True]
    row = Delivery.objects.get()
    assert "decide/" not in row.body + json.dumps(row.log) + row.error + row.target


@pytest.mark.parametrize(
    "other",
    [{"username": "two"}, {"username": "gone", "is_active": False}],
    ids=["an address of two users", "a user who left"],
)
def test_an_address_that_is_not_one_users_gets_no_link(mails: Mails, other: dict[str, Any]) -> None:
    if "is_active" in other:
        User.objects.create(email="ann@example.com", is_superuser=True, **other)
    else:
        user("ann")
        User.objects.create(email="ann@example.com", is_superuser=True, **other)
    asked(flow(Email(on=ASKED, to="ann@example.com"), permission=PERMISSION))

    deliver()

    assert [links(message) for message in mails.all()] == [[]]


@pytest.mark.parametrize("url", ["", "https://shop.example.com/imports/{id}"])
def test_without_the_address_of_our_pages_it_has_no_link_that_decides(
    mails: Mails, settings: LazySettings, url: str
) -> None:
    settings.WORKFLOW_RUN_URL = url
    run = asked(flow(Email(on=ASKED, to="owner")), user("ann"))

    deliver()

    [message] = mails.all()
    text = message.get_body(["plain"]).get_content()
    assert "/decide/" not in text
    assert url.replace("{id}", str(run.pk)) in text


def test_our_pages_may_stand_under_a_prefix(mails: Mails, settings: LazySettings) -> None:
    settings.WORKFLOW_RUN_URL = "https://flows.example.com/ops/runs/{id}/"
    asked(flow(Email(on=ASKED, to="owner")), user("ann"))

    deliver()

    [message] = mails.all()
    text = message.get_body(["plain"]).get_content()
    assert "https://flows.example.com/ops/decide/" in text


def test_what_was_decided_before_it_was_sent_asks_nobody(mails: Mails) -> None:
    run = asked(flow(Email(on=ASKED, to=["owner", "a@example.com"])), user("ann"))
    mails.refuses = "451 later"
    deliver()
    run.signal("release", decision="approve")
    mails.refuses = ""
    make_due()

    deliver()

    assert mails.all() == []
    assert {(row.state, row.attempts) for row in Delivery.objects.all()} == {("dropped", 2)}


def test_a_retry_asks_anew_and_the_earlier_link_is_over(mails: Mails, client: Client) -> None:
    run = asked(flow(Email(on=ASKED, to="owner")), user("ann"))
    deliver()
    give(run.pk, "release", {"decision": "reject"})
    retry(run.pk)

    deliver()

    first, second = (links(message)[0] for message in mails.all())
    assert client.post(first, {"decision": "approve"}).status_code == 403
    assert client.post(second, {"decision": "approve"}).status_code == 200


def test_what_came_before_it_is_asked_for_asks_nobody() -> None:
    run = flow(Email(on=ASKED)).start()
    run.signal("release", decision="approve")

    run = asked_again(run)

    assert run.state == "SUCCESS"
    assert events(run) == []


def asked_again(run: Run) -> Run:
    assert end_attempt(str(run.steps.get(name="noop").task_id), Meta().ok(1))
    return Run.objects.get(pk=run.pk)


def test_a_signal_is_no_approval() -> None:
    steps, given = [Step(tasks.noop, after=["go"])], [Signal("go")]
    flow = Workflow("signalled", steps=steps, signals=given, notify=[Email(on=ASKED)])

    assert events(flow.start()) == []


def test_rows_are_rules_too(mails: Mails) -> None:
    NotificationRule.objects.create(kind="email", on=[ASKED], to=["admins", "a@example.com"])

    run = asked(flow())
    deliver()

    assert sorted(each["X-Envelope-To"] for each in mails.all()) == [
        "a@example.com", "lead@example.com", "ops@example.com",
    ]  # fmt: skip
    assert {row.rule_id for row in run.deliveries.all()} == {NotificationRule.objects.get().pk}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", [True, False], ids=["at the start", "after a step"])
def test_the_signal_is_sent_after_the_commit(first: bool) -> None:
    heard: list[tuple[str, str]] = []

    def hears(step: StepRow, **_: Any) -> None:
        heard.append((step.name, step.run.workflow))

    signals.approval_requested.connect(hears)
    try:
        with transaction.atomic():
            asked(flow(first=first))
            assert heard == []
    finally:
        signals.approval_requested.disconnect(hears)
    assert heard == [("release", "priced")]
