"""The trends of a workflow: how long its runs took of late, and how many failed."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from monitor.pages.trends.chart import HEIGHT, WIDTH, durations, outcomes
from monitor.pages.trends.figures import MOST_TIMES, RunTimes, trend_of
from tests.monitor.conftest import MakeRun

NOW = datetime(2026, 7, 31, 12, 30, tzinfo=UTC)
SINCE = NOW - timedelta(days=30)


def ran(ago: timedelta, state: str = "SUCCESS", seconds: float = 1.0) -> RunTimes:
    made = NOW - ago
    return RunTimes(state, made, made, made + timedelta(seconds=seconds))


def days(number: float) -> timedelta:
    return timedelta(days=number)


def test_the_figures_of_each_day_and_of_all() -> None:
    runs = [
        *(ran(days(0.01), seconds=each) for each in (1, 2, 9)),
        ran(days(0.02), "FAILURE"),
        ran(days(2), "REVOKED"),
        RunTimes("PROGRESS", NOW, NOW, None),
        RunTimes("SUCCESS", NOW, None, NOW),
    ]

    trend = trend_of(runs, since=SINCE, now=NOW)

    assert (len(trend.times), trend.by_day) == (31, True)
    today, before = trend.times[-1], trend.times[-3]
    assert (today.done, today.failed, today.cancelled, today.active) == (4, 1, 0, 1)
    assert (today.median, today.longest, today.failure_rate) == (2, 9, 20.0)
    assert (before.cancelled, before.failure_rate, before.median) == (1, None, None)
    assert (trend.total.number, trend.total.failed) == (7, 1)
    assert sum(each.number for each in trend.times) == 7


@pytest.mark.parametrize(
    ("span", "length"),
    [
        (timedelta(seconds=2), timedelta(minutes=1)),
        (timedelta(minutes=40), timedelta(minutes=2)),
        (timedelta(hours=20), timedelta(hours=1)),
        (days(5), timedelta(hours=4)),
        (days(30), days(1)),
    ],
)
def test_the_times_are_as_long_as_the_runs_ask_for(span: timedelta, length: timedelta) -> None:
    trend = trend_of([ran(span), ran(span / 2)], since=NOW - span, now=NOW)

    assert trend.length == length
    assert len(trend.times) <= MOST_TIMES + 1
    assert sum(each.number for each in trend.times) == 2
    assert trend.times[0].at <= NOW - span < trend.times[0].at + length


def test_days_are_those_of_the_zone_also_when_the_clocks_change() -> None:
    rome = ZoneInfo("Europe/Rome")
    now = datetime(2026, 3, 31, 12, tzinfo=rome)

    trend = trend_of([], since=now - days(5), now=now)

    by_day = trend_of([], since=now - days(30), now=now)
    assert {each.at.hour for each in by_day.times} == {0}
    assert [each.at.day for each in by_day.times][-3:] == [29, 30, 31]
    assert trend.total.number == 0


def test_charts_stay_in_their_frame_and_tell_apart() -> None:
    runs = [ran(days(0), seconds=10), ran(days(1), seconds=5), ran(days(1), "FAILURE")]
    times = trend_of(runs, since=SINCE, now=NOW).times

    for bars in (durations(times), outcomes(times)):
        for bar in bars:
            assert 0 <= bar.x <= bar.x + bar.width <= WIDTH
            assert 0 <= bar.y <= bar.y + bar.height <= HEIGHT + 0.1
    assert [(bar.look, bar.height) for bar in durations(times) if bar.look == "median"] == [
        ("median", 50),
        ("median", 100),
    ]
    assert [(bar.look, bar.y, bar.height) for bar in outcomes(times)] == [
        ("failed", 50, 50),
        ("ok", 0, 50),
        ("ok", 50, 50),
    ]
    assert durations([]) == outcomes([]) == []


@pytest.fixture
def reader(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


def rows(html: str) -> list[list[str]]:
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    found = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [
        [
            " ".join(unescape(cell).split())
            for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]", row, re.DOTALL)
        ]
        for row in found
    ]


def test_the_page_has_charts_and_the_numbers_in_a_table(
    reader: Client, owner: User, other: User, make_run: MakeRun, django_assert_max_num_queries: Any
) -> None:
    noon = timezone.now().replace(hour=12) - days(1)
    for state, seconds in [("SUCCESS", 2), ("SUCCESS", 4), ("FAILURE", 1), ("REVOKED", 1)]:
        ended = noon + timedelta(seconds=seconds)
        times = {"created_at": noon, "started_at": noon, "finished_at": ended}
        make_run(owner, state=state, **times)
    make_run(other, state="FAILURE")
    make_run(owner, state="FAILURE", workflow="noops")
    make_run(owner, state="FAILURE", created_at=noon - days(40))

    with django_assert_max_num_queries(1 + len(("session", "user", "permissions", "groups"))):
        html = reader.get("/start/main_flow/trends/").content.decode()

    day = f"{noon.day} {noon:%b}"
    assert [row[1:] for row in rows(html)] == [["2", "1", "1", "33 %", "3.0 s", "4.0 s"]], day
    assert html.count("<rect") == len(("median", "longest")) + 3
    assert 'href="/runs/?workflow=main_flow"' in html


def test_many_runs_tell_of_a_shorter_time(
    reader: Client, owner: User, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.pages.trends.views.MOST", 2)
    for minutes in (1, 5, 60 * 24):
        made = timezone.now() - timedelta(minutes=minutes)
        make_run(owner, state="SUCCESS", created_at=made)

    html = reader.get("/start/main_flow/trends/").content.decode()

    assert "The latest 2 runs, since" in html
    assert sum(int(row[1]) for row in rows(html)) == 2


def test_without_runs_it_says_so(reader: Client) -> None:
    assert "No run in the last 30 days." in reader.get("/start/noops/trends/").content.decode()


def test_who_may_not_start_it_sees_none(reader: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.policy.OwnerOrStaff.may_start", lambda *_: False)

    assert reader.get("/start/noops/trends/").status_code == 403
    assert reader.get("/start/nothing/trends/").status_code == 404


def test_pages_lead_there(reader: Client, owner: User, make_run: MakeRun) -> None:
    run = make_run(owner)

    for path in ("/start/main_flow/", f"/runs/{run.pk}/"):
        assert 'href="/start/main_flow/trends/"' in reader.get(path).content.decode(), path
