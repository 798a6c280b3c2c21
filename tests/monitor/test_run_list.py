"""Which runs the page of runs shows, on both databases."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from django.utils import timezone

from monitor.pages.run_list import PAGE_SIZE, RunFilter, page_of
from monitor.pages.typical_duration import typical_seconds
from parent.models import Run

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
