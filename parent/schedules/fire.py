"""Starting what is due: each nominal time gets a row that says which run it started, or why none.

Everything about one schedule is one transaction that locks its row: a run, the row of its time, and
when the schedule comes next. Two tickers cannot start one time twice, and none is lost between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby
from uuid import UUID

from celery.utils.log import get_logger
from django.db import transaction
from django.db.models import Q

from children.sanitize import clean_text
from parent.conf import setting
from parent.definition.workflow import registry
from parent.errors import AlreadyRunning, InvalidParams, InvalidWorkflow, RunEnded, UnknownRun
from parent.models import CatchUp, Event, Firing, FiringState, Schedule, SkipReason
from parent.notifications.announce import announce_miss
from parent.runs.cancel import cancel
from parent.runs.start import start
from parent.schedules.calendar import Occurrence, occurrences
from parent.schedules.decide import (
    MOST_WAITING,
    Act,
    Due,
    caught_up,
    due,
    may_start_waiting,
    on_overlap,
)
from parent.schedules.rows import (
    active_firings,
    come_next,
    lock,
    timing_of,
    waiting_firings,
)
from parent.store import clock
from parent.store.outage import OUTAGE

__all__ = ["Fired", "fire", "fire_now"]

logger = get_logger(__name__)

MOST_TIMES, MOST_STARTS = 1_000, 50
"""The most times of one schedule that one transaction decides; fewer if each may start a run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fired:
    """What happened to `count` times, for the metrics. `late`: seconds, of a run that started."""

    schedule: Schedule
    state: str
    reason: str = ""
    count: int = 1
    late: float | None = None


def fire(pk: int, now: datetime | None = None) -> list[Fired]:
    """Decide what is due of one schedule, and start it.

    Args:
        now: for tests; else the database's time.
    """
    with transaction.atomic():
        row = lock(pk)
        if row is None:
            return []
        shots = Shots(row, now or clock.now())
        shots.start_waiting()
        if row.due_at is not None and row.due_at <= shots.now:
            shots.take_due()
        return shots.fired


def fire_now(row: Schedule, who: str, now: datetime) -> Firing:
    """Start a locked schedule's run by hand, as its `overlap` allows; it may be paused."""
    shots = Shots(row, now)
    return shots.take(Occurrence(nominal=now, start=now), who=who)


class Shots:
    """What one transaction does about one locked schedule."""

    def __init__(self, row: Schedule, now: datetime) -> None:
        self.row, self.now = row, now
        self.fired: list[Fired] = []
        runs = active_firings().filter(schedule=row).values_list("run_id", flat=True)
        self._active: list[UUID] = [run for run in runs if run is not None]
        self._waiting = list(waiting_firings(row))

    def start_waiting(self) -> None:
        """Start those that wait, in order, as far as their turn has come."""
        while self._waiting and may_start_waiting(self.row.overlap, active=len(self._active)):
            firing = self._waiting.pop(0)
            self._start(firing)
            self._save(firing)

    def take_due(self) -> None:
        """Decide all times that are due, or as many as one transaction may."""
        row, found = self.row, self._due()
        verdicts = caught_up(
            row.catch_up, found, self.now, grace=setting("SCHEDULE_GRACE"), window=row.window
        )
        # After an edit, a clock that was set back comes to times that were decided before.
        decided = self._decided(found.times)
        verdicts = [
            (time, starts)
            for time, starts in verdicts
            if not any(first <= time.nominal <= last for first, last in decided)
        ]
        for starts, group in groupby(verdicts, key=lambda verdict: verdict[1]):
            times = [time for time, _ in group]
            if starts:
                for time in times:
                    self.take(time)
            else:
                self._miss(times)
        come_next(row, found.following)
        row.save(update_fields=["next_at", "due_at", "problem"])

    def _due(self) -> Due:
        row = self.row
        at_most = MOST_STARTS if row.catch_up == CatchUp.ALL else MOST_TIMES
        if row.next_at is None or row.due_at is None:
            return Due(times=(), following=None)
        first = Occurrence(nominal=row.next_at, start=row.due_at)
        times = chain([first], occurrences(timing_of(row), row.next_at))
        return due(times, self.now, at_most=at_most)

    def _decided(self, times: Sequence[Occurrence]) -> list[tuple[datetime, datetime]]:
        """The first and last time of each row that may stand for one of these times."""
        if not times:
            return []
        first, last = times[0].nominal, times[-1].nominal
        rows = Firing.objects.filter(schedule=self.row, nominal_at__lte=last)
        rows = rows.filter(Q(nominal_at__gte=first) | Q(until__gte=first))
        return [(at, until or at) for at, until in rows.values_list("nominal_at", "until")]

    def take(self, time: Occurrence, who: str = "") -> Firing:
        """Start a run at this time, unless an earlier one is in its way."""
        firing = Firing(schedule=self.row, nominal_at=time.nominal, who=who, at=self.now)
        match on_overlap(self.row.overlap, active=len(self._active), waiting=len(self._waiting)):
            case Act.START:
                self._start(firing, late=(self.now - time.start).total_seconds())
            case Act.WAIT:
                self._wait(firing)
            case Act.REPLACE:
                self._replace(firing)
            case Act.QUEUE_FULL:
                detail = f"{MOST_WAITING} starts waited already."
                self._skip(firing, SkipReason.QUEUE_FULL, detail)
            case Act.SKIP:
                self._skip(firing, SkipReason.OVERLAP, f"{self._in_the_way()} had not ended.")
        self._save(firing)
        return firing

    def _save(self, firing: Firing) -> None:
        firing.save()
        announce_miss(firing)

    def _start(self, firing: Firing, late: float | None = None) -> None:
        row = self.row
        try:
            # A savepoint: the start may fail in a statement of the author's.
            with transaction.atomic():
                run = start(registry.get(row.workflow), row.params)
                if run.was_there:
                    raise AlreadyRunning(f"The run {run.pk} goes on already.", run)
                detail = {"schedule": row.name, "nominal_at": firing.nominal_at.isoformat()}
                Event.objects.create(run=run, who=firing.who, what="schedule", detail=detail)
        except OUTAGE:
            raise
        except AlreadyRunning as exc:  # the workflow's own limit
            self._skip(firing, SkipReason.OVERLAP, str(exc))
            return
        except Exception as exc:
            if not isinstance(exc, InvalidParams | InvalidWorkflow):
                logger.exception("the schedule %s could not start its run", row)
            firing.state = FiringState.REFUSED
            firing.detail = _error_text(exc)
            self._note(FiringState.REFUSED)
            return
        firing.state, firing.detail, firing.run = FiringState.STARTED, "", run
        if not run.ended:
            self._active.append(run.pk)
        self._note(FiringState.STARTED, late=late)

    def _wait(self, firing: Firing) -> None:
        firing.state = FiringState.WAITING
        firing.detail = f"It waits for the end of {self._in_the_way()}."
        self._waiting.append(firing)
        self._note(FiringState.WAITING)

    def _replace(self, firing: Firing) -> None:
        for earlier in self._waiting:
            self._skip(earlier, SkipReason.REPLACED, "A later start took its place.")
            self._save(earlier)
        self._waiting = []
        self._wait(firing)
        for run in self._active:
            try:
                cancel(run, who=f"schedule {self.row.name}")
            except (RunEnded, UnknownRun):
                continue  # it has ended meanwhile

    def _skip(self, firing: Firing, reason: SkipReason, detail: str) -> None:
        firing.state, firing.reason, firing.detail = FiringState.SKIPPED, reason, detail
        self._note(FiringState.SKIPPED, reason)

    def _miss(self, times: Sequence[Occurrence]) -> None:
        firing = Firing(
            schedule=self.row,
            nominal_at=times[0].nominal,
            until=times[-1].nominal if len(times) > 1 else None,
            count=len(times),
            state=FiringState.SKIPPED,
            reason=SkipReason.MISSED,
            detail=f"No worker watched in time, and catch_up is {self.row.catch_up}.",
            at=self.now,
        )
        self._save(firing)
        self._note(FiringState.SKIPPED, SkipReason.MISSED, count=len(times))

    def _in_the_way(self) -> str:
        return f"run {self._active[-1]}" if self._active else "a start that waits"

    def _note(
        self, state: str, reason: str = "", count: int = 1, late: float | None = None
    ) -> None:
        fired = Fired(schedule=self.row, state=state, reason=reason, count=count, late=late)
        self.fired.append(fired)


def _error_text(exc: Exception) -> str:
    if isinstance(exc, InvalidParams | InvalidWorkflow):
        return clean_text(f"{exc} Edit the schedule's params.")
    return clean_text(f"{type(exc).__name__}: {exc}")
