"""Which runs the page of runs shows, on both databases."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from monitor.pages.listing.filter import PAGE_SIZE, PageOfRuns, RunFilter, page_of
from monitor.pages.typical_duration import typical_seconds
from monitor.policy import OwnerOrStaff
from parent.models import Attempt, Run

MakeRun = Callable[..., Run]


def found(query: str) -> set[str]:
    wanted = RunFilter(QueryDict(query), workflows=["main_flow", "noops"])
    return {run.message for run in wanted.narrow(Run.objects.all())}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"a", "b", "c"}),
        ("state=active", {"a"}),
        ("state=failed", {"b"}),
        ("state=done&workflow=noops", {"c"}),
        ("since=hour", {"a", "b"}),
        ("since=week&q=NO+PAPER", {"b"}),
        ("q=noop", {"c"}),
        ("q=%00", {"a", "b", "c"}),
        ("q=%25", set()),
        # What cannot be read asks for nothing.
        ("state=odd&workflow=odd&since=odd&before=odd", {"a", "b", "c"}),
    ],
)
def test_filters_narrow_the_runs(
    make_run: MakeRun, owner: User, query: str, expected: set[str]
) -> None:
    make_run(owner, message="a")
    make_run(owner, message="b", state="FAILURE", error="Error in print: no paper")
    old = timezone.now() - timedelta(days=2)
    make_run(owner, message="c", state="SUCCESS", workflow="noops", created_at=old)

    assert found(query) == expected


def test_an_id_is_found_by_its_beginning(make_run: MakeRun) -> None:
    runs = [make_run(message=str(number)) for number in range(3)]

    for run in runs:
        assert found(f"q={str(run.pk)[:12]}") == {run.message}
        assert found(f"q={str(run.pk).upper()}") == {run.message}


def test_pages_follow_each_other_and_stay_right_while_runs_come_in(make_run: MakeRun) -> None:
    at = timezone.now()  # of one moment: the id decides
    runs = {make_run(created_at=at).pk for _ in range(PAGE_SIZE + 3)}

    first = page_of(Run.objects.all(), None)
    make_run(created_at=timezone.now())
    second = page_of(Run.objects.all(), first.older)

    assert [len(first.runs), len(second.runs)] == [PAGE_SIZE, 3]
    assert {run.pk for run in (*first.runs, *second.runs)} == runs
    assert second.older is None


def test_typical_times_are_one_statement(make_run: MakeRun, django_assert_num_queries: Any) -> None:
    now = timezone.now()
    for seconds in (1, 2, 9):
        begun = now - timedelta(seconds=seconds)
        make_run(state="SUCCESS", started_at=begun, finished_at=now)
    make_run(state="FAILURE", workflow="noops", finished_at=now)

    with django_assert_num_queries(1):
        assert typical_seconds() == {"main_flow": 2.0}


def test_a_run_is_found_by_the_id_of_a_child_or_of_an_earlier_attempt(
    make_run: MakeRun, owner: User
) -> None:
    runs = [make_run(owner, message=str(number)) for number in range(2)]
    step = runs[0].steps.get(name="func_1")
    earlier = str(uuid4())
    Attempt.objects.create(step=step, number=1, task_id=earlier)

    for task_id in (str(step.task_id), earlier):
        for text in (task_id, task_id[:8], task_id.upper()):
            assert found(f"q={text}") == {"0"}, text
    assert found(f"q={uuid4()}") == set()
    # Not an id: found in no list of ids.
    assert found("q=%25") == found("q=zzzz") == set()


def test_pages_lead_back_to_the_newest(make_run: MakeRun) -> None:
    at = timezone.now()
    pks = [make_run(created_at=at - timedelta(minutes=age)).pk for age in range(2 * PAGE_SIZE + 3)]
    runs = Run.objects.all()

    def pages(page: PageOfRuns, way: str) -> list[list[Any]]:
        shown = [[run.pk for run in page.runs]]
        while place := getattr(page, way):
            older = way == "older"
            page = page_of(runs, place if older else None, after=None if older else place)
            shown.append([run.pk for run in page.runs])
        return shown

    there = pages(page_of(runs, None), "older")
    last = page_of(runs, there[1][-1])
    back = pages(last, "newer")

    assert [pk for page in there for pk in page] == pks
    assert back == there[::-1]
    assert page_of(runs, None).newer is None
    # With one more in the meantime none is lost.
    newest = make_run(created_at=at + timedelta(minutes=1)).pk
    back = pages(last, "newer")
    assert back[-1][0] == newest
    assert {pk for page in back for pk in page} == {*pks, newest}


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_place_in_somebody_elses_list_tells_nothing(
    make_run: MakeRun, owner: User, other: User, place: str
) -> None:
    mine, theirs = make_run(owner).pk, make_run(other).pk
    own = Run.objects.filter(owner=owner)

    places: dict[str, Any] = {"before": None, place: theirs}
    page = page_of(own, **places, among=own)

    assert ([run.pk for run in page.runs], page.newer, page.older) == ([mine], None, None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("owner=ann", {"ann", "old"}),
        ("owner=+ANN+", {"ann", "old"}),
        ("owner=ann&state=failed", {"old"}),
        ("owner=an", set()),
        ("owner=nobody", {"none"}),
        ("owner=", {"ann", "old", "bob", "none"}),
        ("owner=%00", {"ann", "old", "bob", "none"}),
        (f"owner={'x' * 300}", {"ann", "old", "bob", "none"}),
    ],
)
def test_runs_are_found_by_their_owner(
    make_run: MakeRun, owner: User, other: User, query: str, expected: set[str]
) -> None:
    make_run(owner, message="ann")
    make_run(owner, message="old", state="FAILURE")
    make_run(other, message="bob")
    make_run(None, message="none")

    wanted = RunFilter(QueryDict(query), workflows=[], owners=True)

    assert {run.message for run in wanted.narrow(Run.objects.all())} == expected
    assert wanted.narrows is (query != "owner=")


class Everybody(OwnerOrStaff):
    """Everybody sees all runs."""

    def visible(self, _user: User, runs: QuerySet[Run]) -> QuerySet[Run]:
        return runs


@pytest.mark.parametrize(
    ("policy", "is_staff", "has_filter"),
    [(OwnerOrStaff, False, False), (OwnerOrStaff, True, True), (Everybody, False, True)],
)
def test_the_filter_by_owner_is_for_who_sees_runs_of_others(
    make_run: MakeRun,
    owner: User,
    other: User,
    client: Client,
    settings: Any,
    policy: type,
    is_staff: bool,
    has_filter: bool,
) -> None:
    settings.WORKFLOW_POLICY = f"{policy.__module__}.{policy.__name__}"
    User.objects.filter(pk=owner.pk).update(is_staff=is_staff)
    mine, theirs = make_run(owner), make_run(other)
    client.force_login(owner)

    page = client.get("/runs/").content.decode()
    found = client.get("/runs/?owner=bob").content.decode()

    assert (' name="owner"' in page) is has_filter
    assert ("<span>bob</span>" in page) is has_filter
    assert (f"/runs/{theirs.pk}/" in found) is has_filter
    # Without the filter its parameter says nothing, as any other unknown one.
    assert (f"/runs/{mine.pk}/" in found) is not has_filter


def test_the_filter_by_owner_stays_on_other_pages(
    make_run: MakeRun, owner: User, other: User, staff: User, client: Client
) -> None:
    for _ in range(PAGE_SIZE + 1):
        make_run(other)
    make_run(owner)
    client.force_login(staff)

    page = client.get("/runs/?owner=bob").content.decode()

    assert re.search(r'href="\?owner=bob&amp;before=[^"]+"', page)
    assert 'value="bob"' in page
    assert ">Clear</a>" in page
