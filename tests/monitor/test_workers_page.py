"""The page of workers: who runs what, what waits, and who may see it."""

from datetime import timedelta
from html import unescape
from re import sub
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from parent import Concurrency, Map, Step, Workflow
from parent.messages import publish
from parent.models import Executor, Item, Place, Run, StepState, WatchLease
from parent.models import Step as StepRow
from parent.runs.start import start
from tests.flows import tasks, workflows

PAGE = reverse("monitor:workers")


@pytest.fixture
def staff(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("eve"))
    return client


@pytest.fixture
def executor(db: None) -> Executor:
    return Executor.objects.create(host="box", pid=7, pool="prefork", queues=["celery", "slow"])


def text_of(client: Client) -> str:
    answer = client.get(PAGE)
    assert answer.status_code == 200
    text = unescape(sub(r"<[^>]+>", "", answer.content.decode().partition("<main")[2]))
    return sub(r"\s+", " ", text)


def running(executor: Executor, **columns: Any) -> Run:
    run = start(workflows.noops, {})
    row = {"state": StepState.RUNNING, "executor": executor, "started_at": timezone.now()}
    run.steps.filter(index=0).update(**row, **columns)
    return run


def test_it_takes_a_permission(client: Client, db: None) -> None:
    user = User.objects.create(username="bob")
    client.force_login(user)
    assert client.get(PAGE).status_code == 403
    assert PAGE not in client.get("/").content.decode()

    user.user_permissions.set(Permission.objects.filter(codename="view_executor"))

    assert client.get(PAGE).status_code == 200
    assert PAGE in client.get("/").content.decode()


def test_without_a_worker_it_says_so(staff: Client) -> None:
    start(workflows.noops, {})

    text = text_of(staff)

    assert "No worker is running." in text
    assert "celery 1 waits, the first came" in text
    assert "no worker" in text


def test_a_worker_and_what_it_runs(staff: Client, executor: Executor) -> None:
    run = running(executor)
    WatchLease.objects.update_or_create(
        pk=1, defaults={"holder": executor.pk, "expires_at": timezone.now() + timedelta(minutes=1)}
    )

    text = text_of(staff)

    assert "box:7 watches all runs; prefork; booted" in text
    assert "queues: celery, slow" in text
    assert "noops: first, begun" in text
    assert f"/runs/{run.pk}/" in staff.get(PAGE).content.decode()
    assert "celery nothing waits; 1 worker" in text


def test_a_worker_that_runs_nothing(staff: Client, executor: Executor) -> None:
    assert "Runs nothing." in text_of(staff)


def test_a_dead_worker_is_shown_while_it_holds_something(staff: Client, executor: Executor) -> None:
    running(executor)
    Executor.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    assert "box:7 does not answer" in text_of(staff)

    StepRow.objects.filter(executor=executor).update(state=StepState.OK)

    assert "box:7" not in text_of(staff)


def test_items_are_named_by_their_keys(
    staff: Client, executor: Executor, own_registry: None
) -> None:
    each = Map(tasks.noop, name="each", over=lambda _: [{}, {}])
    start(Workflow("mapped", steps=[each]), {})
    row = {"state": StepState.RUNNING, "executor": executor, "started_at": timezone.now()}
    Item.objects.filter(index=1).update(**row)

    text = text_of(staff)

    assert "mapped: each[1], begun" in text
    assert "celery 1 waits" in text


def test_of_many_children_the_first_are_named(staff: Client, executor: Executor) -> None:
    for _ in range(22):
        running(executor)

    text = text_of(staff)

    assert text.count("noops: first") == 20
    assert "and 2 more" in text


def test_many_that_wait_are_counted_as_everywhere(staff: Client, executor: Executor) -> None:
    run = start(workflows.noops, {})
    waiting = {"state": StepState.QUEUED, "publish_count": 1, "queued_at": timezone.now()}
    waiting |= {"run": run, "task": "x", "queue": "slow", "attempt": 1}
    StepRow.objects.bulk_create(
        StepRow(index=index, name=f"s{index}", task_id=str(uuid4()), **waiting)
        for index in range(10, 1_244)
    )

    assert "slow 1,234 wait, the first came" in text_of(staff)


@pytest.mark.django_db(transaction=True)
def test_what_waits_for_a_place(
    staff: Client, executor: Executor, settings: Any, own_registry: None
) -> None:
    settings.WORKFLOW_LIMITS = {"gpu": 1}
    limited = Workflow("limited", steps=[Step(tasks.noop, limits=["gpu"])])
    alone = Workflow("alone", steps=[Step(tasks.noop)], concurrency=Concurrency())
    with publish.publishing_off():
        first, _, third = [start(limited, {}) for _ in range(3)]
        start(alone, {})
        start(alone, {})
    assert Place.objects.filter(taken_at=None).count() == 2

    text = text_of(staff)

    assert "gpu 2 wait, the first came" in text
    assert f"1 of 1 in use; held by {str(first.pk)[:8]}" in text
    assert "alone 1 waits, the first came" in text
    assert str(third.pk)[:8] not in text


def test_it_takes_as_many_statements_for_many_workers_and_runs(
    staff: Client, executor: Executor
) -> None:
    running(executor)
    staff.get(PAGE)
    with CaptureQueriesContext(connection) as of_one:
        staff.get(PAGE)
    for pid in range(10):
        running(Executor.objects.create(host="crate", pid=pid))
        running(executor)
    with CaptureQueriesContext(connection) as of_many:
        text = text_of(staff)

    assert len(of_one) == len(of_many)
    assert text.count("noops: first") == 21


def test_an_open_page_asks_only_for_what_has_changed(staff: Client, executor: Executor) -> None:
    digest = staff.get(PAGE).content.decode().partition('data-live="')[2].partition('"')[0]
    same = staff.get(PAGE, headers={"live-parts": f"fleet={digest}"}).content.decode()
    running(executor)
    changed = staff.get(PAGE, headers={"live-parts": f"fleet={digest}"}).content.decode()

    assert "box:7" not in same
    assert "noops" in changed
