"""What the code declares becomes rows; what staff edit wins until it is reset."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from parent import Schedule
from parent.definition.workflow import registry
from parent.errors import InvalidSchedule, ScheduleGone, UnknownSchedule, UnknownWorkflow
from parent.models import Firing, SkipReason
from parent.models import Schedule as Row
from parent.schedules.control import edit, make, pause, reset, resume, run_now
from parent.schedules.outlook import next_times, outlooks
from parent.schedules.rows import leave_out
from parent.schedules.sync import sync
from parent.schedules.ticks import fire_due
from tests.schedules.conftest import HOUR, NOON, at
from tests.schedules.test_hands import page_of

pytestmark = pytest.mark.django_db

Declare = Callable[..., None]
Hourly = Callable[..., Row]


def values(row: Row) -> dict[str, Any]:
    row.refresh_from_db()
    return {"cron": row.cron, "timezone": row.timezone, "params": row.params, "edited": row.edited}


def soon(row: Row) -> bool:
    """Whether its next time is to come, and a tick will find it."""
    return row.next_at is not None and row.due_at is not None and row.next_at > datetime.now(UTC)


def test_a_declared_schedule_is_a_row_with_its_next_time(declare: Declare) -> None:
    declare(Schedule("0 12 * * *", timezone="Europe/Rome", params={"limit": 2}))

    sync()

    row = Row.objects.get()
    assert (row.workflow, row.name, row.cron) == ("hourly", "default", "0 12 * * *")
    assert (row.timezone, row.params, row.overlap) == ("Europe/Rome", {"limit": 2}, "skip")
    assert soon(row)


def test_an_edit_of_a_field_that_another_release_had_is_in_nobodys_way(declare: Declare) -> None:
    declare(Schedule("0 12 * * *"))
    sync()
    Row.objects.update(edited=["cron", "of_later"], cron="0 13 * * *")

    row = edit(Row.objects.get().pk, {"timezone": "Europe/Rome"}, who="ana")

    assert (row.edited, row.cron) == (["cron", "timezone"], "0 13 * * *")
    assert reset(row.pk, who="ana").cron == "0 12 * * *"


def test_without_a_change_it_takes_one_statement(declare: Declare) -> None:
    declare(*(Schedule("0 12 * * *", name=f"s{number}") for number in range(20)))
    sync()

    with CaptureQueriesContext(connection) as captured:
        sync()

    assert len(captured) == 1


def test_what_staff_edit_survives_restarts_and_deploys_until_it_is_reset(declare: Declare) -> None:
    declare(Schedule("0 12 * * *", params={"limit": 2}))
    sync()
    row = Row.objects.get()

    edit(row.pk, {"cron": "30 6 * * *"}, who="ann")
    sync()  # a restart
    assert values(row)["cron"] == "30 6 * * *"
    declare(Schedule("0 13 * * *", timezone="Europe/Rome", params={"limit": 3}))
    sync()  # a deploy: what nobody edited follows the code
    assert values(row) == {
        "cron": "30 6 * * *",
        "timezone": "Europe/Rome",
        "params": {"limit": 3},
        "edited": ["cron"],
    }
    declare(Schedule("30 6 * * *", timezone="Europe/Rome", params={"limit": 3}))
    sync()  # the code says the same by chance; it stays an edit
    declare(Schedule("0 14 * * *", timezone="Europe/Rome", params={"limit": 3}))
    sync()
    assert values(row)["cron"] == "30 6 * * *"

    reset(row.pk, who="bob")

    assert values(row)["cron"] == "0 14 * * *"
    assert values(row)["edited"] == []


def test_an_edit_to_what_the_code_says_is_none(declare: Declare) -> None:
    declare(Schedule("0 12 * * *"))
    sync()
    row = Row.objects.get()
    edit(row.pk, {"cron": "30 6 * * *", "jitter": 5}, who="ann")

    edit(row.pk, {"cron": "0 12 * * *"}, who="ann")

    assert values(row)["edited"] == ["jitter"]


def test_other_times_come_from_now_on(declare: Declare) -> None:
    declare(Schedule("0 12 * * *"))
    sync()
    row = Row.objects.get()

    changed = edit(row.pk, {"cron": "", "every": 3}, who="ann")

    assert soon(changed)
    assert changed.next_at is not None
    assert changed.next_at < datetime.now(UTC) + timedelta(seconds=4)


def test_an_edit_of_the_params_leaves_a_time_that_is_due(hourly: Hourly) -> None:
    row = hourly()

    edit(row.pk, {"params": {"limit": 9}}, who="ann")
    fire_due(at(0.1))

    firing = Firing.objects.get()
    assert firing.run is not None
    assert firing.run.params == {"limit": 9}


def test_a_time_that_an_edit_takes_away_says_so(hourly: Hourly) -> None:
    row = hourly()

    edit(row.pk, {"cron": "30 * * * *"}, who="ann")

    firing = Firing.objects.get()
    assert (firing.nominal_at, firing.state, firing.reason) == (NOON, "SKIPPED", "edited")
    assert "ann" in firing.detail


def test_switching_on_again_starts_nothing_that_was_missed(hourly: Hourly) -> None:
    row = hourly(catch_up="all", window=1_000_000_000)
    pause(row.pk, who="ann")
    Row.objects.update(next_at=datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - HOUR)

    resumed = resume(row.pk, who="bob")
    fire_due()

    assert soon(resumed)
    firing = Firing.objects.get()
    assert (firing.state, firing.reason, firing.count) == ("SKIPPED", "paused", 2)
    assert "ann" in firing.detail
    assert "bob" in firing.detail


@pytest.mark.parametrize(
    ("times", "passed"),
    [
        ({"every": 1_000_000_000}, 1),
        ({"every": 20_000_000}, 16),
        ({"cron": "0 0 29 2 MON#5"}, 3),
        ({"cron": "0 0 1 * *"}, 109),
        ({"cron": "* * * * *"}, None),
    ],
    ids=str,
)
def test_times_that_passed_are_counted_however_rare_those_to_come_are(
    hourly: Hourly, times: dict[str, Any], passed: int | None
) -> None:
    """A thousand more of them may go past the last year that a date can have."""
    row = hourly()
    edit(row.pk, {"cron": "", **times}, who="ann")
    row.refresh_from_db()
    row.next_at = datetime(2017, 6, 1, tzinfo=UTC)

    leave_out(row, SkipReason.PAUSED, "", NOON)

    assert row.next_at > NOON
    assert Firing.objects.get(reason=SkipReason.PAUSED).count == passed


UNREADABLE: list[dict[str, Any]] = [
    *({"timezone": name} for name in ("US/Pacific-New", "", "Europe", "/etc/passwd", "zone.tab")),
    *({"cron": line} for line in ("nonsense", "0 0 31 2 *", "0 0 * * MON#1/2", "0 0 * *")),
]
"""A machine may lack a zone that another has, or that its earlier release had."""


def spoil(row: Row, times: dict[str, Any], next_at: datetime) -> None:
    Row.objects.filter(pk=row.pk).update(**times, next_at=next_at, due_at=next_at)


@pytest.mark.parametrize("times", UNREADABLE, ids=str)
@pytest.mark.parametrize("next_at", [NOON, NOON.replace(year=2226)], ids=["passed", "to come"])
def test_a_schedule_whose_times_nobody_can_compute_is_shown_and_mended(
    admin_client: Client, hourly: Hourly, times: dict[str, Any], next_at: datetime
) -> None:
    row = hourly()
    page = f"/timetable/{row.pk}/"
    spoil(row, times, next_at)

    for path in ("/timetable/", page, "/schedules/", f"/schedules/{row.pk}/", page_of(row)):
        assert admin_client.get(path).status_code == 200
    assert ("when it comes next" in admin_client.get(page).text) == (next_at == NOON)
    pause(row.pk, who="ann")
    assert "cannot be computed" in resume(row.pk, who="ann").problem
    assert "cannot be computed" in admin_client.get(page).text
    spoil(row, times, next_at)
    edit(row.pk, GIVEN, who="ann")
    assert soon(Row.objects.get())
    assert Row.objects.get().problem == ""
    spoil(row, times, next_at)
    reset(row.pk, who="ann")
    assert soon(Row.objects.get())
    assert Row.objects.get().problem == ""


GIVEN: dict[str, Any] = {"cron": "5 * * * *", "timezone": "Europe/Rome"}


@pytest.mark.parametrize("times", UNREADABLE, ids=str)
def test_a_deploy_mends_a_schedule_whose_times_nobody_can_compute(
    declare: Declare, times: dict[str, Any]
) -> None:
    declare(Schedule("0 * * * *"), Schedule("0 0 * * *", name="other"))
    sync()
    spoil(Row.objects.get(name="default"), times, NOON)

    declare(Schedule(**GIVEN), Schedule("0 1 * * *", name="other"))
    sync()

    assert [row.cron for row in Row.objects.order_by("name")] == ["5 * * * *", "0 1 * * *"]
    assert all(soon(row) for row in Row.objects.all())


def test_a_pause_gives_up_what_waits(hourly: Hourly) -> None:
    row = hourly(overlap="queue")
    for minutes in (0.1, 60.1):
        fire_due(at(minutes))

    pause(row.pk, who="ann")

    waited = Firing.objects.get(nominal_at=at(60))
    assert (waited.state, waited.reason) == ("SKIPPED", "paused")


def test_a_pause_survives_a_deploy_and_a_reset(declare: Declare) -> None:
    declare(Schedule("0 12 * * *"))
    sync()
    pause(Row.objects.get().pk, who="ann")

    declare(Schedule("0 13 * * *"))
    sync()
    reset(Row.objects.get().pk, who="ann")

    row = Row.objects.get()
    assert (row.cron, row.paused_by, row.due_at) == ("0 13 * * *", "ann", None)


def test_a_schedule_that_the_code_has_no_more_is_off_and_comes_back(declare: Declare) -> None:
    declare(Schedule("0 12 * * *"))
    sync()
    declare()
    sync()
    row = Row.objects.get()
    assert (row.removed_at is not None, row.due_at) == (True, None)
    for act in (resume, reset, run_now):
        with pytest.raises(ScheduleGone, match="no schedule 'default' any more"):
            act(row.pk, who="ann")
    Row.objects.update(next_at=NOON)

    declare(Schedule("0 12 * * *"))
    sync()

    row.refresh_from_db()
    assert row.removed_at is None
    assert soon(row)
    assert Firing.objects.get().reason == "removed"


def test_rows_of_a_workflow_that_this_process_does_not_know_stay(declare: Declare) -> None:
    declare(Schedule("0 12 * * *"))
    sync()
    registry._workflows.pop("hourly")

    sync()

    assert Row.objects.get().removed_at is None


def test_staff_make_one_and_the_code_takes_it_over_as_edited(declare: Declare) -> None:
    declare()
    row = make("hourly", "mine", {"cron": "0 5 * * *"}, who="ann")
    assert soon(row)
    sync()
    assert values(row)["cron"] == "0 5 * * *"

    declare(Schedule("0 6 * * *", name="mine", timezone="Europe/Rome"))
    sync()

    assert values(row)["cron"] == "0 5 * * *"
    assert values(row)["edited"] == ["cron", "timezone"]


REFUSED = [
    ({"cron": "0 0 31 2 *"}, "cron", "never comes"),
    ({"cron": "0 12 * *"}, "cron", "five fields"),
    ({"cron": "", "every": 0}, "every", "whole seconds"),
    ({"every": 5}, "every", "not both"),
    ({"timezone": "Mars/Olympus"}, "timezone", "no time zone 'Mars/Olympus'"),
    ({"params": {"limit": 0}}, "params", "greater than or equal to 1"),
    ({"params": {"limits": 1}}, "params", "no such parameter"),
    ({"params": [1]}, "params", "JSON object"),
    ({"overlap": "both"}, "overlap", "cancel_running"),
    ({"catch_up": "some"}, "catch_up", "latest"),
    ({"jitter": -1}, "jitter", "whole seconds"),
    ({"window": 0}, "window", "whole seconds"),
]


@pytest.mark.parametrize(("changes", "field", "text"), REFUSED)
def test_an_edit_that_cannot_be_is_refused_and_changes_nothing(
    declare: Declare, changes: dict[str, Any], field: str, text: str
) -> None:
    declare(Schedule("0 12 * * *"))
    sync()
    row = Row.objects.get()
    before = values(row)

    with pytest.raises(InvalidSchedule) as refused:
        edit(row.pk, changes, who="ann")

    assert set(refused.value.errors) == {field}
    assert text in str(refused.value)
    assert values(row) == before


def test_a_name_is_made_once(declare: Declare) -> None:
    declare(Schedule("0 12 * * *"))
    sync()

    for name in ("default", "", "a/b", "a\nb"):
        with pytest.raises(InvalidSchedule, match="name"):
            make("hourly", name, {"cron": "0 5 * * *"}, who="ann")
    with pytest.raises(UnknownWorkflow):
        make("unheard_of", "x", {"cron": "0 5 * * *"}, who="ann")
    with pytest.raises(UnknownSchedule):
        pause(0, who="ann")


def test_people_see_the_next_five_times_and_what_was(hourly: Hourly) -> None:
    hourly()
    fire_due(at(0.1))
    fire_due(at(60.1))
    row = Row.objects.get()

    assert next_times(row, at(90)) == [at(60 * hour) for hour in (2, 3, 4, 5, 6)]
    [seen] = outlooks([row], at(90))
    assert seen.last is not None
    assert seen.left_out is not None
    assert (seen.last.nominal_at, seen.left_out.reason) == (NOON, "overlap")
    Row.objects.update(paused_at=NOON)
    row.refresh_from_db()
    assert next_times(row, at(90)) == []


def test_an_outlook_takes_the_same_statements_for_any_number(declare: Declare) -> None:
    declare(*(Schedule("0 12 * * *", name=f"s{number}") for number in range(20)))
    sync()
    rows = list(Row.objects.all())

    with CaptureQueriesContext(connection) as captured:
        outlooks(rows, NOON)

    assert len(captured) == 2
