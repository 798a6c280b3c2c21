"""Webhooks, posted to a real receiver that fails in every way."""

import json
import re
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from socket import getaddrinfo
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from standardwebhooks.webhooks import Webhook as Verifier

from parent import Webhook, Workflow
from parent.definition.workflow import registry
from parent.deletion.delete import delete_run
from parent.errors import UnknownWorkflow
from parent.models import Delivery, NotificationRule, StoppedWebhook
from parent.notifications import outbox
from parent.notifications.courier import Courier
from parent.notifications.next_try import DELAYS, Outcome, decide
from parent.notifications.signing import new_secret
from parent.runs.user_retry.retry import retry
from parent.store import clock
from tests.notifications.conftest import SECRET, deliver, end, make_due
from tests.notifications.receiver import Receiver, closes, drips, garbage, hangs, receiver, says

pytestmark = pytest.mark.django_db

Told = Callable[..., Workflow]
LEASE = timedelta(seconds=60)


def wait_of(row: Delivery) -> float:
    """Seconds until the next try."""
    assert row.due_at is not None
    return (row.due_at - clock.now()).total_seconds()


def test_it_is_signed_ordered_and_names_the_run(told: Told, hook: Receiver) -> None:
    workflow = told(Webhook(hook.url, secret=SECRET, on=("started", "failed", "succeeded")))
    run = end(workflow.start(), "Error in noop: bad ü")
    retry(run.pk)
    run = end(run)

    deliver()
    while outbox.waiting().exists():
        deliver()

    posts = hook.all()
    assert [post.path for post in posts] == ["/hook?a=b"] * 3
    payloads = [Verifier(SECRET).verify(post.body, post.headers) for post in posts]
    by_order = sorted(payloads, key=lambda each: each["data"]["sequence"])
    assert [each["type"] for each in by_order] == ["run.started", "run.failed", "run.succeeded"]
    assert len({each["data"]["sequence"] for each in payloads}) == 3
    failed = by_order[1]
    assert failed["timestamp"]
    assert failed["data"]["id"] == str(run.pk)
    assert failed["data"]["error"] == "Error in noop: bad ü"
    assert failed["data"]["title"] == "Tell them"
    assert len({post.headers["webhook-id"] for post in posts}) == 3
    assert {post.headers["content-type"] for post in posts} == {"application/json"}
    assert set(Delivery.objects.values_list("state", "status")) == {("delivered", 200)}


FAILURES = [
    ("500", lambda _: says(500), 500, "answered 500"),
    ("404", lambda _: says(404), 404, "answered 404"),
    ("redirect", lambda _: says(302, Location="http://127.0.0.1:1/"), 302, "not followed"),
    ("300", lambda _: says(300), 300, "not followed"),
    ("closes", lambda _: closes, None, "RemoteDisconnected"),
    ("garbage", lambda _: garbage, None, "BadStatusLine"),
    ("hangs", hangs, None, "no answer in time|timed out"),
    ("drips", drips, None, "no answer in time"),
]


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [each[1:] for each in FAILURES],
    ids=[each[0] for each in FAILURES],
)
def test_whatever_goes_wrong_it_is_tried_again_under_the_same_id(
    told: Told, hook: Receiver, answer: Any, status: int | None, text: str
) -> None:
    end(told(Webhook(hook.url, secret=SECRET)).start())
    hook.answers = [answer(hook), says(204)]
    began = time.monotonic()

    deliver()

    took = time.monotonic() - began
    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.status, row.claim) == ("waiting", 1, status, None)
    assert re.search(text, row.error), row.error
    assert took < 5
    assert 0.8 * DELAYS[0] < wait_of(row) <= 1.1 * DELAYS[0]
    assert [entry["error"] for entry in row.log] == [row.error]
    deliver()
    assert hook.posts.qsize() == 1  # it is not due
    make_due()
    deliver()
    row.refresh_from_db()
    assert (row.state, row.attempts, row.status, row.error) == ("delivered", 2, 204, "")
    first, second = hook.all()
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == row.message_id
    assert first.body == second.body


def test_nobody_listens(told: Told, settings: LazySettings) -> None:
    settings.WORKFLOW_WEBHOOK_ALLOW_PRIVATE = True
    end(told(Webhook("http://127.0.0.1:1/", secret=SECRET)).start())

    deliver()

    row = Delivery.objects.get()
    assert row.state == "waiting"
    assert "refused" in row.error


@pytest.mark.parametrize(
    ("status", "header", "seconds"), [(429, "77", 77), (503, "1", DELAYS[0]), (429, "9e9", 5)]
)
def test_retry_after_is_kept(
    told: Told, hook: Receiver, status: int, header: str, seconds: float
) -> None:
    end(told(Webhook(hook.url, secret=SECRET)).start())
    hook.answers = [says(status, Retry_After=header)]

    deliver()

    assert 0.8 * seconds < wait_of(Delivery.objects.get()) <= 1.1 * seconds


def test_after_a_day_it_is_given_up_and_can_be_replayed(told: Told, hook: Receiver) -> None:
    end(told(Webhook(hook.url, secret=SECRET)).start())
    hook.answers = [says(500)]
    for _ in range(len(DELAYS) + 1):
        make_due()
        deliver()
    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.due_at) == ("failed", len(DELAYS) + 1, None)
    assert row.ended_at is not None

    make_due()
    deliver()
    assert hook.posts.qsize() == len(DELAYS) + 1
    hook.answers = [says(200)]

    assert outbox.replay([row.pk]) == 1
    assert outbox.replay([row.pk]) == 0
    deliver()

    row.refresh_from_db()
    assert row.state == "delivered"
    assert len({post.headers["webhook-id"] for post in hook.all()}) == 1


def test_410_switches_the_url_off_until_somebody_switches_it_on(told: Told, hook: Receiver) -> None:
    workflow = told(Webhook(hook.url, secret=SECRET))
    end(workflow.start())
    hook.answers = [says(410), says(200)]

    deliver()

    first = Delivery.objects.get()
    assert (first.state, first.status) == ("dropped", 410)
    assert StoppedWebhook.objects.get().url == hook.url
    end(workflow.start())
    deliver()
    second = Delivery.objects.exclude(pk=first.pk).get()
    assert second.state == "dropped"
    assert "switch it on" in second.error
    assert hook.posts.qsize() == 1
    StoppedWebhook.objects.all().delete()
    outbox.replay([first.pk, second.pk])
    deliver()
    deliver()
    assert hook.posts.qsize() == 3


@pytest.mark.parametrize("where", ["http://127.0.0.1:{port}/", "http://localhost:{port}/"])
def test_an_address_inside_the_network_is_never_called(
    told: Told, hook: Receiver, settings: LazySettings, where: str
) -> None:
    settings.WORKFLOW_WEBHOOK_ALLOW_PRIVATE = False
    url = where.format(port=hook.url.split(":")[2].split("/")[0])
    end(told(Webhook(url, secret=SECRET)).start())

    deliver()

    assert "inside the network" in Delivery.objects.get().error
    assert hook.posts.empty()


def test_plain_http_goes_nowhere(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = [(2, 1, 6, "", ("8.8.8.8", 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: outside)
    end(told(Webhook("http://partner.example.com/", secret=SECRET)).start())

    deliver()

    assert "takes https" in Delivery.objects.get().error


def test_the_connection_goes_to_the_address_that_was_checked(
    told: Told, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second resolution would find another address, as an attacker's name server can do."""
    port = int(hook.url.split(":")[2].split("/")[0])
    answers = [("127.0.0.1", port), ("192.0.2.1", port)]

    def resolved(host: str, *args: Any, **options: Any) -> Any:
        if host == "rebound.example.com":
            return [(2, 1, 6, "", answers.pop(0))]
        return getaddrinfo(host, *args, **options)

    monkeypatch.setattr("socket.getaddrinfo", resolved)
    end(told(Webhook(f"http://rebound.example.com:{port}/x", secret=SECRET)).start())

    deliver()

    [post] = hook.all()
    assert post.headers["host"] == f"rebound.example.com:{port}"
    assert len(answers) == 1


def test_while_a_secret_is_changed_both_sign(told: Told, hook: Receiver) -> None:
    old, new = new_secret(), new_secret()
    in_code = told(Webhook(hook.url, secret=[new, old]))
    end(in_code.start())
    deliver()
    [post] = hook.all()
    for secret in (old, new):
        assert Verifier(secret).verify(post.body, post.headers)

    rule = NotificationRule.objects.create(
        kind="webhook", on=["succeeded"], url=hook.url + "&row", secret=new, old_secret=old,
        old_secret_until="2999-01-01T00:00Z", workflow="rows",
    )  # fmt: skip
    end(told(name="rows").start())
    deliver()
    [post] = hook.all()
    assert post.headers["webhook-signature"].count("v1,") == 2
    rule.old_secret_until = clock.now()
    rule.save()
    end(Workflow("rows", steps=in_code.steps).start())
    deliver()
    [post] = hook.all()
    assert post.headers["webhook-signature"].count("v1,") == 1
    assert Verifier(new).verify(post.body, post.headers)


def test_the_delivery_of_a_deleted_rule_is_dropped(told: Told, hook: Receiver) -> None:
    rule = NotificationRule.objects.create(
        kind="webhook", on=["succeeded"], url=hook.url, secret=SECRET
    )
    end(told().start())
    rule.delete()

    deliver()

    row = Delivery.objects.get()
    assert (row.state, row.rule_id) == ("dropped", None)
    assert hook.posts.empty()


def test_deleting_a_run_deletes_its_deliveries(told: Told, hook: Receiver) -> None:
    run = end(told(Webhook(hook.url, secret=SECRET)).start())
    assert Delivery.objects.count() == 1

    delete_run(run)

    assert not Delivery.objects.exists()
    deliver()
    assert hook.posts.empty()


def test_a_claim_that_lapsed_is_tried_by_another_and_the_first_changes_nothing(
    told: Told, hook: Receiver
) -> None:
    """A process that was killed while it delivered, or that came back too late."""
    end(told(Webhook(hook.url, secret=SECRET)).start())
    killed = outbox.claim_next((), LEASE)
    assert killed is not None
    assert outbox.claim_next((), LEASE) is None
    make_due()  # its lease

    deliver()

    assert Delivery.objects.get().state == "delivered"
    late = Outcome(error="late", status=500)
    assert not outbox.settle(killed, late, decide(late, 1), 1.0)
    row = Delivery.objects.get()
    assert (row.state, row.attempts, len(row.log)) == ("delivered", 2, 1)


def test_what_a_process_without_the_code_has_written_is_delivered_by_one_with_it(
    told: Told, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = told(Webhook(hook.url, secret=SECRET)).start()
    have = dict(registry._workflows)
    registry._workflows.clear()
    end(run, "Error in noop: bad")
    with pytest.raises(UnknownWorkflow):
        registry.get("told")
    deliver()
    row = Delivery.objects.get()
    assert (row.kind, row.state) == ("code", "waiting")
    assert "workflow's code" in row.error
    registry._workflows.update(have)

    make_due()
    deliver()

    assert Delivery.objects.get().state == "delivered"
    [post] = hook.all()
    assert json.loads(post.body)["type"] == "run.failed"


@pytest.mark.django_db(transaction=True)
def test_two_couriers_deliver_each_once(told: Told, hook: Receiver) -> None:
    workflow = told(Webhook(hook.url, secret=SECRET))
    for _ in range(12):
        end(workflow.start())
    start = threading.Barrier(2)

    def work() -> None:
        courier = Courier()
        start.wait()
        while outbox.waiting().exists():
            courier.turn()
            courier.wait(0.05)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    ids = [post.headers["webhook-id"] for post in hook.all()]
    assert len(ids) == len(set(ids)) == 12


def test_a_dead_receiver_delays_no_other(
    told: Told, hook: Receiver, settings: LazySettings
) -> None:
    settings.WORKFLOW_NOTIFICATION_TIMEOUT = 20
    with receiver() as dead:
        dead.answers = [hangs(dead)]
        workflow = told(
            *(Webhook(f"{dead.url}&{n}", secret=SECRET) for n in range(10)),
            Webhook(hook.url, secret=SECRET),
        )
        end(workflow.start())
        courier = Courier()

        courier.turn()

        assert hook.posts.get(timeout=10)
        assert dead.posts.get(timeout=10)
        assert courier.busy
        assert dead.posts.empty()  # one at a time
        dead.released.set()
        while courier.busy:
            courier.wait(20)
            courier.turn()
        assert dead.posts.qsize() == 9
