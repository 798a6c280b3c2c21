"""Each time of a schedule starts one run, or its row says why not."""

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, transaction

from parent import Concurrency, Schedule
from parent.definition.concurrency import WhenFull
from parent.definition.workflow import registry
from parent.deletion.delete import delete_run
from parent.models import Event, Firing, Run, Step
from parent.models import Schedule as Row
from parent.schedules.control import run_now
from parent.schedules.decide import MOST_WAITING
from parent.schedules.fire import MOST_TIMES, fire
from parent.schedules.ticks import fire_due
from tests.schedules.conftest import HOUR, NOON, at, end

pytestmark = pytest.mark.django_db

Hourly = Callable[..., Row]
Told = list[tuple[datetime, str, str]]


def told() -> Told:
    """What became of each time, in order: time, state, reason."""
    return list(Firing.objects.order_by("nominal_at").values_list("nominal_at", "state", "reason"))


def runs() -> list[Run]:
    return list(Run.objects.order_by("created_at"))


def test_a_time_that_has_come_starts_one_run_with_the_params(hourly: Hourly) -> None:
    hourly(params={"limit": 7})

    fire_due(at(0.1))

    [run] = runs()
    firing = Firing.objects.get()
    assert (run.workflow, run.params, run.owner) == ("hourly", {"limit": 7}, None)
    assert (firing.run, firing.nominal_at, firing.state) == (run, NOON, "STARTED")
    assert Row.objects.get().next_at == NOON + HOUR


def test_the_history_of_the_run_has_the_schedule_and_the_nominal_time(hourly: Hourly) -> None:
    hourly()

    fire_due(at(0.1))

    event = Event.objects.get(run=runs()[0])
    assert event.what == "schedule"
    assert event.detail == {"schedule": "default", "nominal_at": NOON.isoformat()}


def test_nothing_starts_before_its_time(hourly: Hourly) -> None:
    hourly()

    fire_due(at(-0.1))

    assert told() == []


def test_the_jitter_moves_the_start_and_not_the_nominal_time(hourly: Hourly) -> None:
    hourly()
    Row.objects.update(jitter=600, due_at=at(5))

    fire_due(at(4.9))
    assert told() == []
    fire_due(at(5.1))

    assert told() == [(NOON, "STARTED", "")]
    row = Row.objects.get()
    assert row.due_at is not None
    assert row.next_at == NOON + HOUR < row.due_at


@pytest.mark.parametrize("minutes", [0.5, 59, 60.5, 200])
def test_two_looks_at_the_same_moment_start_it_once(hourly: Hourly, minutes: float) -> None:
    row = hourly(catch_up="latest")

    for _ in range(2):
        fire(row.pk, at(minutes))

    assert len(runs()) == 1


def test_the_database_itself_has_each_time_once(hourly: Hourly) -> None:
    row = hourly()
    fire_due(at(0.1))

    with pytest.raises(IntegrityError), transaction.atomic():
        Firing.objects.create(schedule=row, nominal_at=NOON, state="STARTED")


CATCH_UP = {
    # The ticker was down from before noon until 15:00:30.
    "none": ["MISSED", "MISSED", "MISSED", "STARTED"],
    "latest": ["MISSED", "MISSED", "MISSED", "STARTED"],
    "all": ["MISSED", "STARTED", "STARTED", "STARTED"],
}
CATCH_UP_LATE = {
    # Until 15:30: the last time is late, too.
    "none": ["MISSED", "MISSED", "MISSED", "MISSED"],
    "latest": ["MISSED", "MISSED", "MISSED", "STARTED"],
    "all": ["MISSED", "MISSED", "STARTED", "STARTED"],
}


@pytest.mark.parametrize(("minutes", "table"), [(180.5, CATCH_UP), (210, CATCH_UP_LATE)])
@pytest.mark.parametrize("rule", CATCH_UP)
def test_after_hours_without_a_ticker_catch_up_says_what_starts(
    hourly: Hourly, rule: str, minutes: float, table: dict[str, list[str]]
) -> None:
    hourly(catch_up=rule, overlap="allow", window=8_000)

    fire_due(at(minutes))

    assert each_time(4) == table[rule]
    assert Row.objects.get().next_at == at(240)


def each_time(number: int) -> list[str]:
    """What became of each of the hours from noon on; fails where one is told twice, or not."""
    found = []
    for time in (NOON + HOUR * each for each in range(number)):
        rows = [
            firing
            for firing in Firing.objects.all()
            if firing.nominal_at <= time <= (firing.until or firing.nominal_at)
        ]
        assert len(rows) == 1, (time, rows)
        found.append(rows[0].reason.upper() or rows[0].state)
    return found


def test_of_thousands_of_missed_times_each_look_takes_some_and_tells_of_all(
    declare: Callable[..., None], hourly: Hourly
) -> None:
    row = hourly()
    Row.objects.update(cron="", every=1)

    looks = 0
    while Row.objects.get().next_at <= at(60):  # type: ignore[operator]
        fire(row.pk, at(60))
        looks += 1

    assert looks == 4
    counts = list(Firing.objects.order_by("nominal_at").values_list("count", "state"))
    assert counts == [(MOST_TIMES, "SKIPPED")] * 3 + [(600, "SKIPPED"), (1, "STARTED")]


def test_a_clock_that_jumps_ahead_and_back_starts_nothing_twice(hourly: Hourly) -> None:
    hourly(overlap="allow")

    for minutes in (0.5, 60.5, 0.7, 30, 60.1, 61, 120.5, 119, 121):
        fire_due(at(minutes))

    assert each_time(3) == ["STARTED", "STARTED", "STARTED"]


def test_a_clock_that_jumps_a_day_ahead_tells_of_each_hour(hourly: Hourly) -> None:
    hourly(overlap="allow")

    for minutes in (0.5, 24 * 60 + 0.5, 60.5, 24 * 60 + 60.5):
        fire_due(at(minutes))

    assert each_time(26) == ["STARTED", *["MISSED"] * 23, "STARTED", "STARTED"]


def test_after_a_clock_was_set_back_an_edit_goes_on_with_times_that_nobody_decided(
    hourly: Hourly,
) -> None:
    hourly(overlap="allow")
    for minutes in (0.5, 60.5, 120.5):
        fire_due(at(minutes))
    # As an edit does when the clock was set back to half past twelve.
    Row.objects.update(next_at=at(60), due_at=at(60))

    for minutes in (60.5, 120.5, 180.5):
        fire_due(at(minutes))

    assert each_time(4) == ["STARTED"] * 4


OVERLAP = {
    "skip": ["STARTED", "SKIPPED overlap", "SKIPPED overlap"],
    "queue": ["STARTED", "WAITING", "WAITING"],
    "cancel_running": ["STARTED", "SKIPPED replaced", "WAITING"],
    "allow": ["STARTED", "STARTED", "STARTED"],
}
AFTER_THE_END = {
    "skip": ["STARTED", "SKIPPED overlap", "SKIPPED overlap"],
    "queue": ["STARTED", "STARTED", "WAITING"],
    "cancel_running": ["STARTED", "SKIPPED replaced", "STARTED"],
    "allow": ["STARTED", "STARTED", "STARTED"],
}


@pytest.mark.parametrize("rule", OVERLAP)
def test_while_a_run_has_not_ended_overlap_says_what_the_next_does(
    hourly: Hourly, rule: str
) -> None:
    hourly(overlap=rule)

    for minutes in (0.1, 60.1, 120.1):
        fire_due(at(minutes))
        # A child that has begun ends a cancelled run only at its next report.
        Step.objects.filter(state="QUEUED").update(state="RUNNING")
    assert [f"{state} {reason}".strip() for _, state, reason in told()] == OVERLAP[rule]
    assert (runs()[0].cancel_requested_at is not None) == (rule == "cancel_running")

    end(runs()[0])
    fire_due(at(121))

    assert [f"{state} {reason}".strip() for _, state, reason in told()] == AFTER_THE_END[rule]


def test_what_waits_starts_in_order_each_at_the_end_of_the_one_before(hourly: Hourly) -> None:
    hourly(overlap="queue")
    for minutes in (0.1, 60.1, 120.1):
        fire_due(at(minutes))

    for number in range(3):
        assert len(runs()) == number + 1
        end(runs()[number])
        fire_due(at(121 + number))

    nominal = [run.firings.get().nominal_at for run in runs()]
    assert nominal == sorted(nominal) == [NOON, NOON + HOUR, NOON + 2 * HOUR]


def test_a_line_that_is_full_takes_no_more(hourly: Hourly) -> None:
    row = hourly(overlap="queue")
    fire_due(at(0.1))
    Firing.objects.bulk_create(
        Firing(schedule=row, nominal_at=at(1 + number / 10), state="WAITING")
        for number in range(MOST_WAITING)
    )

    fire_due(at(60.1))

    assert told()[-1] == (at(60), "SKIPPED", "queue_full")


def test_a_run_that_was_deleted_stands_in_nobodys_way_and_leaves_the_row(hourly: Hourly) -> None:
    hourly()
    fire_due(at(0.1))
    [run] = runs()
    end(run)
    run.refresh_from_db()
    delete_run(run)

    fire_due(at(60.1))

    assert [state for _, state, _ in told()] == ["STARTED", "STARTED"]
    assert Firing.objects.earliest("nominal_at").run is None


def test_params_that_do_not_fit_any_more_are_told_and_the_next_time_comes(hourly: Hourly) -> None:
    hourly()
    Row.objects.update(params={"limit": 0})

    fire_due(at(0.1))

    firing = Firing.objects.get()
    assert (firing.state, firing.run) == ("REFUSED", None)
    assert "limit: Ensure this value is greater than or equal to 1." in firing.detail
    assert Row.objects.get().next_at == at(60)
    assert not Run.objects.exists()


def breaks_a_constraint() -> None:
    Row.objects.create(workflow="hourly", name="two", cron="0 * * * *")  # is there already


@pytest.mark.parametrize(
    ("breaks", "text"),
    [(breaks_a_constraint, "IntegrityError"), (sys.exit, "it called sys.exit(None)")],
    ids=["an error", "an exit"],
)
def test_a_serializer_that_raises_costs_its_own_schedule_one_time(
    hourly: Hourly, monkeypatch: pytest.MonkeyPatch, breaks: Callable[[], None], text: str
) -> None:
    hourly()
    Row.objects.create(workflow="hourly", name="two", cron="0 * * * *", next_at=NOON, due_at=NOON)
    from tests.schedules.conftest import HourParams

    def broken(self: Any, attrs: Any) -> Any:
        breaks()

    monkeypatch.setattr(HourParams, "validate", broken, raising=False)

    fire_due(at(0.1))

    assert [state for _, state, _ in told()] == ["REFUSED", "REFUSED"]
    assert text in Firing.objects.all()[0].detail


def test_a_database_that_refuses_the_start_for_now_is_asked_again(
    hourly: Hourly, monkeypatch: pytest.MonkeyPatch
) -> None:
    hourly(catch_up="latest")
    from tests.schedules.conftest import HourParams

    def broken(self: Any, attrs: Any) -> Any:
        raise OperationalError("too many connections")

    with monkeypatch.context() as patched:
        patched.setattr(HourParams, "validate", broken, raising=False)
        fire_due(at(0.1))
    assert told() == []
    assert Row.objects.get().problem
    Row.objects.update(due_at=at(0.2))
    fire_due(at(0.3))

    assert told()[-1][1] == "STARTED"
    assert Row.objects.get().problem == ""


def test_a_row_that_cannot_be_read_is_tried_again_later_and_keeps_nobody_waiting(
    hourly: Hourly,
) -> None:
    hourly()
    Row.objects.create(workflow="hourly", name="two", cron="0 * * * *", next_at=NOON, due_at=NOON)
    Row.objects.filter(name="default").update(timezone="No/Such_Zone")

    fire_due(at(0.1))

    assert Firing.objects.get().schedule.name == "two"
    row = Row.objects.get(name="default")
    assert "see the log" in row.problem
    assert row.due_at is not None
    assert row.due_at > at(0.1)


def test_a_workflow_that_this_process_does_not_know_is_left_to_one_that_does(
    hourly: Hourly,
) -> None:
    hourly()
    Row.objects.update(workflow="of_another_release")

    fire_due(at(0.1))

    assert told() == []
    assert Row.objects.get().next_at == NOON


def test_run_now_starts_beside_the_times_and_follows_the_overlap(hourly: Hourly) -> None:
    row = hourly()

    first = run_now(row.pk, who="ann")
    second = run_now(row.pk, who="ann")

    assert (first.state, first.who) == ("STARTED", "ann")
    assert first.run is not None
    assert first.run.events.get().who == "ann"
    assert (second.state, second.reason) == ("SKIPPED", "overlap")
    assert str(first.run.pk) in second.detail
    assert Row.objects.get().next_at == NOON


def test_a_paused_schedule_runs_by_hand_only(hourly: Hourly) -> None:
    row = hourly()
    Row.objects.update(paused_at=NOON, due_at=None)

    fire_due(at(0.1))
    assert told() == []

    assert run_now(row.pk, who="ann").state == "STARTED"


def test_two_workflows_have_each_their_schedules(declare: Callable[..., None]) -> None:
    from parent.schedules.sync import sync

    declare(Schedule("0 * * * *"), Schedule("30 * * * *", name="half"))
    declare(Schedule(every=60), name="minutely")
    sync()

    assert [str(row) for row in Row.objects.all()] == [
        "hourly/default",
        "hourly/half",
        "minutely/default",
    ]


@pytest.mark.parametrize("when_full", ["skip", "return_existing"])
def test_the_limit_of_the_workflow_is_a_reason_to_skip(
    hourly: Hourly, monkeypatch: pytest.MonkeyPatch, when_full: WhenFull
) -> None:
    hourly(overlap="allow")
    monkeypatch.setitem(
        registry.get("hourly").__dict__, "concurrency", Concurrency(when_full=when_full)
    )

    fire_due(at(0.1))
    fire_due(at(60.1))

    assert told() == [(NOON, "STARTED", ""), (NOON + HOUR, "SKIPPED", "overlap")]
    assert len(runs()) == 1
    assert str(runs()[0].pk) in Firing.objects.get(nominal_at=NOON + HOUR).detail
