"""The start page, and small things that all pages have."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitor.templatetags.monitor_format import elapsed
from parent.models import Run

MakeRun = Callable[..., Run]


@pytest.fixture
def signed_in(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


def text(response: Any) -> str:
    return str(response.content.decode())


@pytest.mark.parametrize("path", ["/", "/runs/", "/start/main_flow/", "/nothing/"])
def test_every_page_has_a_link_past_the_navigation(signed_in: Client, path: str) -> None:
    page = text(signed_in.get(path, headers={"Accept": "text/html"}))

    assert page.index('href="#main"') < page.index("<nav")
    assert '<main id="main"' in page


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/", "Workflows"),
        ("/start/main_flow/", "Workflows"),
        ("/start/main_flow/trends/", "Workflows"),
        ("/runs/", "Runs"),
        ("/runs/RUN/", "Runs"),
        ("/runs/RUN/log/", "Runs"),
        ("/waiting/", "Waiting for you"),
        ("/nothing/", ""),
    ],
)
def test_the_navigation_says_where_one_is(
    signed_in: Client, owner: User, make_run: MakeRun, path: str, place: str
) -> None:
    path = path.replace("RUN", str(make_run(owner).pk))

    page = text(signed_in.get(path, headers={"Accept": "text/html"}))

    nav = page.partition("<nav")[2].partition("</nav>")[0]
    assert re.findall(r'aria-current="\w+">([^<]+)<', nav) == ([place] if place else [])


@pytest.mark.parametrize(
    ("result", "shown"), [(None, "returned nothing"), (0, ">0<"), ({}, ">{}<")]
)
def test_no_result_is_said_in_words(
    signed_in: Client, owner: User, make_run: MakeRun, result: Any, shown: str
) -> None:
    run = make_run(owner, state="SUCCESS", completion=100.0, result=result)

    page = text(signed_in.get(f"/runs/{run.pk}/"))

    assert shown in page
    assert ">null<" not in page


def test_an_error_is_said_once(signed_in: Client, owner: User, make_run: MakeRun) -> None:
    run = make_run(owner, state="FAILURE", error="Error in func_1: no paper")
    failed = {"state": "ERROR", "finished_at": timezone.now()}
    run.steps.filter(name="func_1").update(error="Error in func_1: no paper", **failed)
    run.steps.filter(name="func_2").update(error="Error in func_2: no ink", **failed)

    page = text(signed_in.get(f"/runs/{run.pk}/"))

    assert page.count("no paper") == 1
    assert page.count("no ink") == 1


@pytest.mark.parametrize(
    ("seconds", "ended", "shown"),
    [
        (9.8, True, "9.8 s"),
        (0.01, True, "< 0.1 s"),
        (9.96, True, "9 s"),
        (9.8, False, "9 s"),
        (2.37, True, "2.4 s"),
    ],
)
def test_the_time_of_an_ended_task_is_written_in_one_way(
    seconds: float, ended: bool, shown: str
) -> None:
    now = timezone.now()
    end = now if ended else None
    status = {"started_at": now - timedelta(seconds=seconds), "finished_at": end}

    assert elapsed(status, now) == shown


def test_times_are_in_the_projects_zone_and_say_so(
    signed_in: Client, owner: User, make_run: MakeRun, settings: Any
) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    at = datetime(2025, 7, 1, 22, 30, 5, tzinfo=UTC)
    run = make_run(owner, state="SUCCESS", completion=100.0, created_at=at, finished_at=at)
    run.events.create(what="retried", who="ann", at=at)

    for path in ("/", "/runs/"):
        assert ">2 Jul, 07:30 JST</time>" in text(signed_in.get(path))
    page = text(signed_in.get(f"/runs/{run.pk}/"))
    assert page.count(">2 Jul 2025, 07:30:05 JST</time>") == 3
    assert page.count('datetime="2025-07-02T07:30:05+09:00"') == 3


def test_the_page_of_a_run_says_how_long_such_runs_usually_take(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner)
    path = f"/runs/{run.pk}/"
    assert "Usually takes" not in text(signed_in.get(path))

    now = timezone.now()
    for workflow, state, seconds in [
        ("main_flow", "SUCCESS", 170),
        ("main_flow", "SUCCESS", 190),
        ("main_flow", "SUCCESS", 185),
        ("main_flow", "FAILURE", 1),
        ("noops", "SUCCESS", 1),
    ]:
        begun = now - timedelta(seconds=seconds)
        make_run(owner, workflow=workflow, state=state, started_at=begun, finished_at=now)

    assert "Usually takes 3 min 5 s" in text(signed_in.get(path))


def test_the_usual_time_is_read_with_the_whole_page_alone(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    path = f"/runs/{make_run(owner).pk}/"

    def runs_read(**headers: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            signed_in.get(path, headers=headers)
        return sum("SUCCESS" in query["sql"] for query in queries)

    assert runs_read() == 1
    assert runs_read(**{"Live-Parts": "timeline=1"}) == 0
