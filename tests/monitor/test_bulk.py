"""Cancelling, retrying and deleting many runs: what is said before, done, and said after."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitor.pages.listing import bulk, counts
from monitor.pages.listing.filter import PAGE_SIZE
from parent.models import Event, Run
from tests.flows import workflows
from tests.monitor.runs import fail, finish

MakeRun = Callable[..., Run]
BULK = "/runs/bulk/"


@pytest.fixture
def page(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


@pytest.fixture
def of_each_kind(owner: User) -> dict[str, Run]:
    """A run that is active, one that failed, and one that is done."""
    runs = {name: workflows.noops.start(owner=owner) for name in ("active", "failed", "done")}
    fail(runs["failed"], "first")
    for name in ("first", "second", "third"):
        finish(runs["done"], name)
    return runs


def text_of(answer: Any) -> str:
    """The page's text without tags, in one line."""
    main = answer.content.decode().partition('<main id="main"')[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def post(page: Client, do: str, *runs: Run, **more: str) -> Any:
    return page.post(BULK, {"do": do, "run": [str(run.pk) for run in runs], **more})


@pytest.mark.parametrize(
    ("do", "asked", "stays", "done", "state"),
    [
        (
            *("cancel", "Cancel 1 run?", "It has ended already.", "1 run cancelled"),
            ["REVOKED", "FAILURE", "SUCCESS"],
        ),
        (
            *("retry", "Retry 1 run?", "It is done: there is nothing to retry.", "1 run retried"),
            ["PENDING", "STARTED", "SUCCESS"],
        ),
        (
            *("delete", "Delete 2 runs?", "It has not ended yet.", "2 runs deleted"),
            ["PENDING"],
        ),
    ],
)
def test_it_says_what_will_be_done_and_then_what_was(
    page: Client,
    of_each_kind: dict[str, Run],
    do: str,
    asked: str,
    stays: str,
    done: str,
    state: list[str],
) -> None:
    runs = list(of_each_kind.values())

    before = post(page, do, *runs)
    assert before.status_code == 200
    assert asked in text_of(before)
    assert stays in text_of(before)
    assert not Event.objects.exists()
    assert Run.objects.count() == 3

    after = text_of(post(page, do, *runs, sure="yes"))
    assert done in after
    assert stays in after
    left = Run.objects.order_by("created_at").values_list("state", flat=True)
    assert list(left) == state
    assert set(Event.objects.values_list("who", "what")) <= {("ann", do)}


def test_all_that_match_the_filters_are_named_before(
    page: Client, of_each_kind: dict[str, Run]
) -> None:
    answer = page.post(BULK, {"do": "delete", "all": "on", "query": "state=failed"})

    assert "Delete 1 run?" in text_of(answer)
    named = re.findall(r'name="run" value="([^"]+)"', answer.content.decode())
    assert named == [str(of_each_kind["failed"].pk)]
    assert 'href="/runs/?state=failed"' in answer.content.decode()


def test_what_matches_later_is_not_taken(page: Client, owner: User, make_run: MakeRun) -> None:
    first = make_run(owner, state="FAILURE")
    make_run(owner, state="FAILURE")
    form = {"do": "delete", "all": "on", "query": "state=failed"}

    page.post(BULK, {**form, "sure": "yes", "run": [str(first.pk)]})

    assert Run.objects.count() == 1
    assert not Run.objects.filter(pk=first.pk).exists()


@pytest.mark.parametrize("ticked", [False, True], ids=["all that match", "ticked"])
def test_no_more_than_a_bounded_number_is_taken_and_it_says_so(
    page: Client, owner: User, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, ticked: bool
) -> None:
    monkeypatch.setattr("monitor.pages.listing.bulk_views.MOST", 2)
    at = timezone.now()
    runs = [
        make_run(owner, state="FAILURE", created_at=at - timedelta(hours=age)) for age in range(3)
    ]
    given: dict[str, Any] = (
        {"run": [run.pk for run in runs]} if ticked else {"all": "on", "query": ""}
    )

    answer = page.post(BULK, {"do": "delete", **given})

    assert "Delete 2 runs?" in text_of(answer)
    assert "These are the newest 2 runs; come back for the others." in text_of(answer)
    named = re.findall(r'name="run" value="([^"]+)"', answer.content.decode())
    assert named == [str(run.pk) for run in runs[:2]]


def test_runs_of_others_are_not_among_them(
    page: Client, other: User, owner: User, make_run: MakeRun
) -> None:
    mine, theirs = make_run(owner, state="FAILURE"), make_run(other, state="FAILURE")

    assert "Delete 1 run?" in text_of(post(page, "delete", mine, theirs))
    post(page, "delete", mine, theirs, sure="yes")
    page.post(BULK, {"do": "delete", "all": "on", "query": "owner=bob"})

    assert list(Run.objects.all()) == [theirs]


def test_who_may_see_a_run_and_not_change_it_is_told(
    page: Client, owner: User, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(owner, state="FAILURE")
    monkeypatch.setattr("monitor.policy.OwnerOrStaff.may_change", lambda *_: False)

    for sure in ({}, {"sure": "yes"}):
        assert "You may not change this run." in text_of(post(page, "delete", run, **sure))

    assert Run.objects.exists()


def test_a_run_that_changes_in_between_is_refused_and_the_others_are_done(
    page: Client, of_each_kind: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the rows and the lock of each."""
    active, failed = of_each_kind["active"], of_each_kind["failed"]
    planned = bulk.plan_for

    def plan_for(*args: Any) -> Any:
        plan = planned(*args)
        Run.objects.filter(pk=failed.pk).update(state="PROGRESS", finished_at=None)
        return plan

    monkeypatch.setattr("monitor.pages.listing.bulk_views.plan_for", plan_for)

    said = text_of(post(page, "delete", failed, of_each_kind["done"], active, sure="yes"))

    assert "1 run deleted" in said
    assert "The run is PROGRESS: wait for its end." in said
    assert set(Run.objects.all()) == {active, failed}


@pytest.mark.usefixtures("counted")
def test_retries_are_counted_and_those_over_the_limit_are_told(
    page: Client, owner: User, settings: Any
) -> None:
    settings.WORKFLOW_START_RATE = "2/min"
    runs = [workflows.noops.start(owner=owner) for _ in range(3)]
    for run in runs:
        fail(run, "first")

    said = text_of(post(page, "retry", *runs, sure="yes"))

    assert "2 runs retried" in said
    assert "1 run was left as it is" in said
    assert "throttled" in said


@pytest.mark.parametrize("form", [{}, {"run": "no id"}, {"all": "on", "query": "state=failed"}])
def test_without_a_run_nothing_is_done(page: Client, form: dict[str, str]) -> None:
    answer = page.post(BULK, {"do": "cancel", **form}, follow=True)

    assert "Nothing was done: tick at least one run." in text_of(answer)


def test_an_action_that_there_is_not(page: Client) -> None:
    assert page.post(BULK, {"do": "explode"}).status_code == 404
    assert page.get(BULK).headers["location"] == "/runs/"


def counted(page: Client, query: str = "") -> str:
    html = page.get(f"/runs/?{query}").content.decode()
    nav = html.partition('id="counts"')[2].partition(">")[2].partition("</nav>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", nav).split())


def test_each_state_has_its_count_beside_the_filters(
    page: Client, owner: User, other: User, make_run: MakeRun
) -> None:
    make_run(owner)
    for _ in range(2):
        make_run(owner, state="FAILURE", workflow="noops")
    make_run(owner, state="SUCCESS")
    make_run(other)

    assert counted(page) == "All Active 1 Done 1 Failed 2 Cancelled 0"
    # Of the other filters, not of that by state itself.
    assert counted(page, "workflow=noops&state=done") == "All Active 0 Done 0 Failed 2 Cancelled 0"
    assert counted(page, "q=noops") == ""
    html = page.get("/runs/?workflow=noops&state=failed").content.decode()
    assert '<a href="?workflow=noops&amp;state=failed" aria-current="page">Failed' in html
    assert '<a href="?workflow=noops">All' in html


def test_no_state_is_counted_further_than_the_limit(
    page: Client, owner: User, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "MOST", 2)
    for _ in range(4):
        make_run(owner, state="FAILURE")

    assert "Failed 2+" in counted(page)


def test_the_counts_are_one_statement_and_use_an_index(owner: User, make_run: MakeRun) -> None:
    make_run(owner)

    with CaptureQueriesContext(connection) as caught:
        found = counts.counts_by_state(Run.objects.all(), owner)

    assert [each.number for each in found] == [None, 1, 0, 0, 0]
    assert len(caught) == 1
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN QUERY PLAN " + caught.captured_queries[0]["sql"])
            plan = " ".join(str(row) for row in cursor.fetchall())
        assert "run_unsuccessful" in plan
        assert "run_alive" in plan


def test_from_a_day_one_goes_on_to_older_and_newer_runs(
    page: Client, owner: User, make_run: MakeRun
) -> None:
    noon = timezone.now().replace(hour=12)
    for age in range(2 * PAGE_SIZE):
        make_run(owner, created_at=noon - timedelta(days=age), message=f"day {age}")
    day = (noon - timedelta(days=3)).date()

    answer = page.get(f"/runs/?day={day}")
    assert [run.message for run in answer.context["runs"]][:2] == ["day 3", "day 4"]
    html = answer.content.decode()
    assert f'value="{day}"' in html
    older, newer = answer.context["older"], answer.context["newer"]
    assert "day" not in older + newer

    assert page.get(f"/runs/?{older}").context["runs"][0].message == f"day {3 + PAGE_SIZE}"
    assert page.get(f"/runs/?{newer}").context["runs"][0].message == "day 0"


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "yesterday", "2026-02-31"])
def test_a_day_of_any_kind_is_answered(
    page: Client, owner: User, make_run: MakeRun, day: str
) -> None:
    make_run(owner)

    assert page.get("/runs/", {"day": day}).status_code == 200
    form = {"do": "delete", "all": "on", "query": f"day={day}"}
    assert page.post(BULK, form).status_code in (200, 302)
