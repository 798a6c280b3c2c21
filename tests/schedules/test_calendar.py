"""Given a cron line and a zone, the nominal times are these, also where the clocks change."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parent.schedules.calendar import Timing, nominal_times, occurrences

NEW_YORK, ROME, LORD_HOWE = "America/New_York", "Europe/Rome", "Australia/Lord_Howe"
KOLKATA = "Asia/Kolkata"  # no change since 1945

CHANGES = {
    # The day before each change, at noon UTC: the change is in the next 24 hours.
    (NEW_YORK, "spring"): datetime(2026, 3, 7, 12, tzinfo=UTC),
    (NEW_YORK, "autumn"): datetime(2026, 10, 31, 12, tzinfo=UTC),
    (ROME, "spring"): datetime(2026, 3, 28, 12, tzinfo=UTC),
    (ROME, "autumn"): datetime(2026, 10, 24, 12, tzinfo=UTC),
    (LORD_HOWE, "spring"): datetime(2026, 10, 3, 0, tzinfo=UTC),
    (LORD_HOWE, "autumn"): datetime(2026, 4, 4, 0, tzinfo=UTC),
    (KOLKATA, "spring"): datetime(2026, 3, 28, 12, tzinfo=UTC),
    (KOLKATA, "autumn"): datetime(2026, 10, 24, 12, tzinfo=UTC),
}
TABLE = {
    # Each line with the local times of the day on which the clocks change: `+` is the second of
    # two equal hours.
    "30 2 * * *": {
        (NEW_YORK, "spring"): "03:00",
        (NEW_YORK, "autumn"): "02:30",
        (ROME, "spring"): "03:00",
        (ROME, "autumn"): "02:30",
        (LORD_HOWE, "spring"): "02:30",
        (LORD_HOWE, "autumn"): "02:30",
        (KOLKATA, "spring"): "02:30",
        (KOLKATA, "autumn"): "02:30",
    },
    "15 2 * * *": {
        (NEW_YORK, "spring"): "03:00",
        (NEW_YORK, "autumn"): "02:15",
        (ROME, "spring"): "03:00",
        (ROME, "autumn"): "02:15",
        (LORD_HOWE, "spring"): "02:30",
        (LORD_HOWE, "autumn"): "02:15",
        (KOLKATA, "spring"): "02:15",
        (KOLKATA, "autumn"): "02:15",
    },
    "30 1 * * *": {
        (NEW_YORK, "spring"): "01:30",
        (NEW_YORK, "autumn"): "01:30",
        (ROME, "spring"): "01:30",
        (ROME, "autumn"): "01:30",
        (LORD_HOWE, "spring"): "01:30",
        (LORD_HOWE, "autumn"): "01:30",
        (KOLKATA, "spring"): "01:30",
        (KOLKATA, "autumn"): "01:30",
    },
    # Two times that do not exist become one.
    "15,45 2 * * *": {
        (NEW_YORK, "spring"): "03:00",
        (NEW_YORK, "autumn"): "02:15 02:45",
        (ROME, "spring"): "03:00",
        (ROME, "autumn"): "02:15 02:45",
        (LORD_HOWE, "spring"): "02:30 02:45",
        (LORD_HOWE, "autumn"): "02:15 02:45",
        (KOLKATA, "spring"): "02:15 02:45",
        (KOLKATA, "autumn"): "02:15 02:45",
    },
    # A star in the minutes or the hours: each real minute, and so an hour that comes twice counts
    # twice, and one that does not come counts not at all.
    "*/30 2 * * *": {
        (NEW_YORK, "spring"): "",
        (NEW_YORK, "autumn"): "02:00 02:30",
        (ROME, "spring"): "",
        (ROME, "autumn"): "02:00 02:30 02:00+ 02:30+",
        (LORD_HOWE, "spring"): "02:30",
        # cronsim goes by whole hours to the hour, and this day it lands behind two o'clock.
        (LORD_HOWE, "autumn"): "02:30",
        (KOLKATA, "spring"): "02:00 02:30",
        (KOLKATA, "autumn"): "02:00 02:30",
    },
    "*/30 1 * * *": {
        (NEW_YORK, "spring"): "01:00 01:30",
        (NEW_YORK, "autumn"): "01:00 01:30 01:00+ 01:30+",
        (ROME, "spring"): "01:00 01:30",
        (ROME, "autumn"): "01:00 01:30",
        (LORD_HOWE, "spring"): "01:00 01:30",
        (LORD_HOWE, "autumn"): "01:00 01:30 01:30+",
        (KOLKATA, "spring"): "01:00 01:30",
        (KOLKATA, "autumn"): "01:00 01:30",
    },
    "0 12 * * *": dict.fromkeys(CHANGES, "12:00"),
    "0 0 * * *": dict.fromkeys(CHANGES, "00:00"),
}
HOURS = {
    (NEW_YORK, "spring"): 23,
    (NEW_YORK, "autumn"): 25,
    (ROME, "spring"): 23,
    (ROME, "autumn"): 25,
    # Half an hour: the clock strikes each hour of the 23.5 and of the 24.5.
    (LORD_HOWE, "spring"): 23,
    (LORD_HOWE, "autumn"): 24,
    (KOLKATA, "spring"): 24,
    (KOLKATA, "autumn"): 24,
}


def on_the_day(cron: str, change: tuple[str, str], *, one_by_one: bool = False) -> list[datetime]:
    """The local times of the day of a change."""
    zone = ZoneInfo(change[0])
    start = CHANGES[change]
    day = (start + timedelta(days=1)).astimezone(zone).date()
    found = within(Timing(cron=cron, timezone=change[0]), start, one_by_one=one_by_one)
    return [time for time in (each.astimezone(zone) for each in found) if time.date() == day]


def within(
    timing: Timing, start: datetime, days: int = 3, *, one_by_one: bool = False
) -> Iterator[datetime]:
    end, time = start + timedelta(days=days), start
    if not one_by_one:
        for each in nominal_times(timing, start):
            if each > end:
                return
            yield each
    # As the rows do: from one time to the next, without what an iterator remembers.
    while one_by_one and (time := next(nominal_times(timing, time))) <= end:
        yield time


def shown(times: list[datetime]) -> str:
    return " ".join(f"{time:%H:%M}{'+' * time.fold}" for time in times)


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("change", CHANGES, ids="-".join)
@pytest.mark.parametrize("cron", TABLE)
def test_where_the_clocks_change_a_cron_line_comes_as_the_table_says(
    cron: str, change: tuple[str, str], one_by_one: bool
) -> None:
    assert shown(on_the_day(cron, change, one_by_one=one_by_one)) == TABLE[cron][change]


@pytest.mark.parametrize("change", CHANGES, ids="-".join)
def test_each_hour_comes_as_often_as_the_clock_strikes_it(change: tuple[str, str]) -> None:
    assert len(on_the_day("0 * * * *", change)) == HOURS[change]


@pytest.mark.parametrize("change", CHANGES, ids="-".join)
def test_seconds_know_no_change(change: tuple[str, str]) -> None:
    timing = Timing(every=1800, timezone=change[0])
    found = list(within(timing, CHANGES[change]))

    assert {b - a for a, b in pairwise(found)} == {timedelta(minutes=30)}
    assert all(time.timestamp() % 1800 == 0 for time in found)


zones = st.sampled_from([NEW_YORK, ROME, LORD_HOWE, KOLKATA, "America/Havana", "UTC"])
minutes = st.sampled_from(["*", "0", "15,45", "*/20", "10-20", "59"])
hours = st.sampled_from(["*", "0", "1", "2", "*/2", "1-3", "23"])
moments = st.integers(0, 365 * 86_400).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@settings(max_examples=200, deadline=None)
@given(minutes, hours, zones, moments)
def test_times_only_go_forward_and_are_the_same_from_wherever_they_are_asked(
    minute: str, hour: str, zone: str, after: datetime
) -> None:
    timing = Timing(cron=f"{minute} {hour} * * *", timezone=zone)
    times = list(islice(nominal_times(timing, after), 60))

    assert all(a < b for a, b in pairwise([after, *times]))
    for time, following in pairwise(times):
        assert next(nominal_times(timing, time)) == following
        if zone != LORD_HOWE:  # where cronsim jumps over a time, see the table
            between = time + (following - time) / 2
            assert next(nominal_times(timing, between)) == following


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 100_000), st.integers(0, 1_000_000), st.text(max_size=9), moments, st.booleans()
)
def test_jitter_moves_a_start_but_never_past_the_next_time(
    every: int, jitter: int, key: str, after: datetime, by_cron: bool
) -> None:
    when = {"cron": "*/7 3 * * *"} if by_cron else {"every": every}
    timing = Timing(**when, jitter=jitter, key=key)
    found = list(islice(occurrences(timing, after), 20))

    assert [each.nominal for each in found] == list(islice(nominal_times(timing, after), 20))
    for each, following in pairwise(found):
        assert each.nominal <= each.start <= each.nominal + timedelta(seconds=jitter)
        assert each.start <= following.nominal <= following.start
    assert found == list(islice(occurrences(timing, after), 20))


def test_jitter_differs_from_time_to_time_and_from_schedule_to_schedule() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    timing = {"every": 3600, "jitter": 600}
    shifts = {
        each.start - each.nominal
        for key in ("a/one", "a/two")
        for each in islice(occurrences(Timing(**timing, key=key), start), 20)  # type: ignore[arg-type]
    }

    assert len(shifts) == 40
