"""A step says what it waits for."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from monitor.runs.snapshot import Snapshot, task_status
from monitor.runs.waiting import PATIENCE, waiting_of
from monitor.texts.status_words import waiting_text
from parent.models import Executor, Run, Step
from parent.store.leases import renew_heartbeat

MakeRun = Callable[..., Run]
NOW = timezone.now()
LONG_AGO, SOON = NOW - timedelta(minutes=1), NOW + timedelta(seconds=8)
QUEUED: dict[str, Any] = {"state": "QUEUED", "attempt": 1, "queue": "gpu"}
STATES = {"a": "OK", "b": "RUNNING", "c": "WAITING", "d": "QUEUED", "e": "ERROR"}


@pytest.mark.parametrize(
    ("columns", "consumed", "text"),
    [
        ({"state": "WAITING", "after": []}, None, ""),
        ({"state": "WAITING", "after": ["a"]}, None, ""),
        ({"state": "WAITING", "after": ["a", "b", "gone"]}, None, "b"),
        ({"state": "WAITING", "after": list(STATES)}, None, "b, c, d, e"),
        ({"state": "WAITING", "after": [*STATES, "f"]}, None, "b, c, d and 2 more steps"),
        ({**QUEUED, "queued_at": LONG_AGO}, None, ""),
        ({**QUEUED, "queued_at": LONG_AGO}, {"gpu"}, "a free worker"),
        (
            {**QUEUED, "queued_at": LONG_AGO},
            {"celery"},
            "a worker of the queue “gpu”: none is running",
        ),
        (
            {**QUEUED, "queued_at": LONG_AGO, "queue": "", "task": "unknown.task"},
            {"gpu"},
            "a worker of the queue “celery”: none is running",
        ),
        # Not worth a word.
        ({**QUEUED, "queued_at": NOW - PATIENCE / 2}, {"celery"}, ""),
        ({**QUEUED, "queued_at": SOON, "attempt": 2}, {"celery"}, "the next try, in 8 s"),
        ({**QUEUED, "queued_at": SOON}, {"gpu"}, "its start, in 8 s"),
        ({"state": "RUNNING", "attempt": 1, "queued_at": LONG_AGO}, {"celery"}, ""),
        ({"state": "CANCELLED", "attempt": 1, "queued_at": LONG_AGO}, {"celery"}, ""),
    ],
)
def test_what_a_step_waits_for(
    columns: dict[str, Any], consumed: set[str] | None, text: str
) -> None:
    states = {**STATES, "f": "WAITING"}

    wait = waiting_of(Step(name="x", **columns), states, consumed, NOW)

    shown = waiting_text({"waits_for": wait.text, "waits_until": wait.until}, NOW)
    assert shown == (f"waits for {text}" if text else "")


@pytest.fixture
def queued_run(owner: User, make_run: MakeRun) -> Run:
    """A run whose first step has been queued for 11 s."""
    run = make_run(owner, state="PENDING", started_at=None, message="func_1", completion=0.0)
    queued = {"state": "QUEUED", "started_at": None, "reported_at": None, "queue": "gpu"}
    run.steps.filter(name="func_1").update(**queued, message="")
    return run


def status(run: Run, owner: User) -> dict[str, Any]:
    snapshot = Snapshot([run.pk])
    return task_status(snapshot.task(owner), now=timezone.now())


def test_a_run_waits_for_what_its_first_queued_step_waits_for(
    queued_run: Run, owner: User, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(2):
        nobody = status(queued_run, owner)
    before = Snapshot([queued_run.pk]).digest(NOW)
    renew_heartbeat(uuid4(), ["gpu"])
    busy = status(queued_run, owner)

    assert nobody["waits_for"] == "a worker of the queue “gpu”: none is running"
    assert nobody["steps"][1]["waits_for"] == "func_1"
    assert busy["waits_for"] == busy["steps"][0]["waits_for"] == "a free worker"
    # A worker that comes or goes is not a change of a row, and a client must hear of it.
    assert Snapshot([queued_run.pk]).digest(NOW) != before

    queued_run.steps.filter(name="func_2").update(
        state="RUNNING", started_at=NOW, task_id=str(uuid4())
    )
    assert status(queued_run, owner)["waits_for"] == ""

    Run.objects.update(cancel_requested_at=NOW)
    assert {step["waits_for"] for step in status(queued_run, owner)["steps"]} == {""}


@pytest.mark.parametrize(
    "message",
    [
        "func_1",
        "func_1: 4 of 10",
        "func_1: retry 1 of 3 after: Error in func_1: no paper",
        "func_2",
    ],
)
def test_a_run_that_waits_says_so_in_one_sentence(
    queued_run: Run, owner: User, message: str
) -> None:
    """Whatever the run's row said last, and of whichever step."""
    Run.objects.update(message=message)
    queued_run.steps.filter(name="func_1").update(
        queued_at=timezone.now() + timedelta(minutes=1), attempt=2
    )

    shown = waiting_text(status(queued_run, owner), NOW)

    assert shown.startswith("func_1 waits for the next try, in ")


def test_a_page_says_it_without_javascript(queued_run: Run, owner: User, client: Client) -> None:
    client.force_login(owner)
    Executor.objects.all().delete()

    page = client.get(f"/runs/{queued_run.pk}/").content.decode()

    assert "func_1 waits for a worker of the queue “gpu”: none is running" in page
    assert "waits for func_1" in page
    assert re.search(r">1\d s<", page)
