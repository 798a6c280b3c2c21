"""Overlap and catch-up, against a plain model that tells the same story in another way."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parent.models import CatchUp, Firing, Overlap, Run, Step
from parent.models import Schedule as Row
from parent.schedules.calendar import Occurrence, Timing, occurrences
from parent.schedules.control import pause, resume, run_now
from parent.schedules.decide import caught_up, due
from parent.schedules.fire import fire
from parent.store import clock
from tests.schedules.conftest import NOON, end

pytestmark = pytest.mark.django_db


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(CatchUp.values),
    st.integers(10, 600),
    st.integers(0, 900),
    st.integers(0, 5_000),
    st.integers(1, 30),
    st.one_of(st.none(), st.floats(0, 1_000)),
    st.integers(1, 10_000),
)
def test_catch_up_starts_what_the_plain_words_say(
    rule: str,
    every: int,
    jitter: int,
    seconds: int,
    at_most: int,
    grace: float | None,
    window: int,
) -> None:
    start = datetime(2026, 6, 1, tzinfo=UTC)
    now = start + timedelta(seconds=seconds)
    timing = Timing(every=every, jitter=jitter, key="x")
    everything = list(islice(occurrences(timing, start), seconds // every + 2))
    came = [time for time in everything if time.start <= now]

    found: list[tuple[Occurrence, bool]] = []
    after: datetime | None = start
    while after is not None:
        batch = due(occurrences(timing, after), now, at_most=at_most)
        found += caught_up(rule, batch, now, grace=grace, window=window)
        assert batch.following is not None
        after = batch.times[-1].nominal if batch.more else None

    assert [time for time, _ in found] == came
    for time, starts in found:
        is_last = time == came[-1]
        in_time = grace is None or (now - time.start).total_seconds() <= grace
        young = time.nominal >= now - timedelta(seconds=window)
        expected = {"none": is_last and in_time, "latest": is_last, "all": young}[rule]
        assert starts == expected, time


@dataclass
class Model:
    """A schedule as its documentation describes it: runs as a list, and a line of those that wait.

    `story` is what became of each nominal time.
    """

    rule: str
    active: list[datetime] = field(default_factory=list)
    cancelled: set[datetime] = field(default_factory=set)
    line: list[datetime] = field(default_factory=list)
    story: dict[datetime, str] = field(default_factory=dict)
    paused: bool = False

    def starts(self, time: datetime) -> None:
        self.active.append(time)
        self.story[time] = "STARTED"

    def comes(self, time: datetime) -> None:
        if self.rule == "allow" or not (self.active or self.line):
            self.starts(time)
        elif self.rule == "skip":
            self.story[time] = "SKIPPED overlap"
        else:
            if self.rule == "cancel_running":
                for waits in self.line:
                    self.story[waits] = "SKIPPED replaced"
                self.line = []
                self.cancelled |= set(self.active)
            self.line.append(time)
            self.story[time] = "WAITING"

    def looks(self) -> None:
        while self.line and (self.rule == "allow" or not self.active):
            self.starts(self.line.pop(0))

    def pauses(self) -> None:
        if not self.paused:
            for waits in self.line:
                self.story[waits] = "SKIPPED paused"
            self.line = []
        self.paused = True


ACTS = st.lists(
    st.sampled_from(["time", "time", "time", "end", "end", "by hand", "pause", "resume"]),
    min_size=1,
    max_size=10,
)


@pytest.mark.parametrize("rule", Overlap.values)
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ACTS)
def test_any_story_of_times_ends_and_pauses_is_the_models(
    hourly: Callable[..., Row], monkeypatch_clock: "Clock", rule: str, acts: list[str]
) -> None:
    Row.objects.all().delete()
    Run.objects.all().delete()
    row = hourly(overlap=rule)
    _comes_next(row, NOON + timedelta(days=30), paused=False)
    model, now = Model(rule), NOON
    for act in acts:
        now += timedelta(minutes=1)
        monkeypatch_clock.now = now
        if act == "time":
            hour = NOON + timedelta(hours=len(model.story) * 2 + 1)
            now = monkeypatch_clock.now = hour + timedelta(seconds=1)
            _comes_next(row, hour, paused=model.paused)
            fire(row.pk, now)
            model.looks()
            if not model.paused:
                model.comes(hour)
            _claim_all()
        elif act == "by hand":
            run_now(row.pk, who="ann")
            model.comes(now)
            _claim_all()
        elif act == "end" and model.active:
            oldest = model.active.pop(0)
            end(Firing.objects.get(nominal_at=oldest).run)  # type: ignore[arg-type]
            fire(row.pk, now)
            model.looks()
            _claim_all()
        elif act == "pause":
            pause(row.pk, who="ann")
            model.pauses()
        elif act == "resume":
            _comes_next(row, now + timedelta(days=1), paused=model.paused)
            resume(row.pk, who="ann")
            model.paused = False

    story = {
        firing.nominal_at: f"{firing.state} {firing.reason}".strip()
        for firing in Firing.objects.all()
    }
    cancelled = Run.objects.filter(cancel_requested_at__isnull=False)
    assert story == model.story
    assert {run.firings.get().nominal_at for run in cancelled} == model.cancelled


def _comes_next(row: Row, time: datetime, *, paused: bool) -> None:
    Row.objects.filter(pk=row.pk).update(next_at=time, due_at=None if paused else time)


def _claim_all() -> None:
    """The children begin, so that a cancelled run ends only when the story says so."""
    Step.objects.filter(state="QUEUED").update(state="RUNNING")


@dataclass
class Clock:
    now: datetime = NOON


@pytest.fixture
def monkeypatch_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The database's clock, as the story has it."""
    kept = Clock()

    def told(*_: Any) -> datetime:
        return kept.now

    monkeypatch.setattr(clock, "now", told)
    return kept
