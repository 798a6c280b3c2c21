"""One turn of the watch loop. It covers all runs; its cost depends on what changed."""

import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from celery import states
from django.db.models import QuerySet
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from parent.conf import interval, setting
from parent.deletion import orphan_results
from parent.deletion.prune import prune
from parent.deletion.stray_files import try_delete_strays
from parent.messages.broker_memory import BrokerMemory
from parent.messages.publish import is_run_row_stale
from parent.messages.terminate import terminate
from parent.models import Item, Step, StepState
from parent.runs.advance import pass_place_on
from parent.runs.concurrency import runs_in_line, shared_limits
from parent.runs.endings import Ending, end_cancelled
from parent.runs.signals.expire import expire
from parent.schedules.ticks import fire_due, prune_firings, try_sync
from parent.store import leases
from parent.store.locks import LockedRuns
from parent.telemetry.metrics import metrics
from parent.watch.decide import End, Keep, Mirror, Republish, Stored, watch_once
from parent.watch.due_runs import check_due_runs
from parent.watch.find_work import Work, find_work
from parent.watch.items import check_due, end_lost
from parent.watch.mirror import Report, mirror
from parent.watch.outcomes import record_tick_outcome
from parent.watch.queries import (
    DUE_BATCH,
    UNPUBLISHED_LAST,
    active_steps,
    changed_results,
    ids_of_due_steps,
    ids_of_lost_steps,
    ids_of_reported_steps,
    stored,
    stored_of,
    watched,
)
from parent.watch.republish import Republisher

__all__ = ["STANDBY_INTERVAL", "Ticker"]

BATCH = 1_000
PRUNE_BATCH = 100
OVERLAP = timedelta(seconds=2)
"""A report is stamped before its commit. One that commits this much later is still found."""
CONNECT_TIMEOUT = 5.0
"""Seconds that a heartbeat thread may need to reconnect to the database."""
OUTAGE_GRACE = 5.0
"""Seconds after a database outage in which no step times out, so that children can report."""
STANDBY_INTERVAL = 2.0
"""Seconds between two attempts of an executor to take the watch lease."""
STRAYS_INTERVAL = 3_600.0
"""Seconds between two searches for files without a run. Each lists all stored files."""
SWEEP_INTERVAL = 30.0
"""Seconds between two comparisons of all active steps with their results, by any timestamp."""
CLOCKS_APART = timedelta(seconds=30)
"""A worker's clock may be this far behind, and the next tick finds its results."""


class Ticker:
    """The ticks of one executor. Only the holder of the watch lease does the work.

    `pause`: seconds to wait until the next tick.
    """

    def __init__(self, executor_id: UUID) -> None:
        self._executor_id = executor_id
        self._broker_memory = BrokerMemory(executor_id)
        self._held = False
        self._results_seen_until: datetime | None = None
        self._all_results_seen_at: datetime | None = None
        self._sweep_at = self._strays_at = 0.0
        self._check_steps_from = self._enforce_leases_from = 0.0
        self._moved_at, self.pause = time.time(), STANDBY_INTERVAL
        self._locked_runs = LockedRuns()
        self._republisher = Republisher()

    @property
    def held(self) -> bool:
        """Whether this executor held the watch lease at its last tick."""
        return self._held

    def extend_leases(self, lease: float | None = None) -> None:
        """After a database outage: extend every lease, and let children report first.

        An executor that could not write its heartbeat, or a child that could not report, is not
        dead.

        Args:
            lease: seconds from now; None is a full lease.
        """
        now = time.monotonic()
        self._check_steps_from = now + OUTAGE_GRACE
        if lease is None:
            lease = leases.lease().total_seconds()
        self._enforce_leases_from = max(self._enforce_leases_from, now + lease)

    def tick(self) -> bool:
        """Run one tick; return False if another executor holds the watch lease.

        If nothing changed, it takes two statements for any number of runs.
        """
        # After a time without any watch, the database may have been down for all. Wait as long as
        # every live executor needs for a heartbeat before a lease counts as expired.
        was_vacant = not self._held and leases.watch_lease_lapsed_for(leases.lease() / 3)
        held = self._held = leases.acquire_watch_lease(self._executor_id)
        if held and was_vacant:
            self.extend_leases(2 * interval("HEARTBEAT") + CONNECT_TIMEOUT)
        self._extend_leases_after_pause()
        self.pause = interval("POLL_INTERVAL") if held else STANDBY_INTERVAL
        if not held:
            return False
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + SWEEP_INTERVAL
            self._results_seen_until = self._all_results_seen_at = None
            sweep = (try_sync, leases.delete_dead, orphan_results.delete_recent, _prune)
            for part in (*sweep, _fill_places, shared_limits.fill_all):
                self._locked_runs.skip_if_locked(part)
        if time.monotonic() >= self._strays_at:
            self._strays_at = time.monotonic() + STRAYS_INTERVAL
            try_delete_strays(PRUNE_BATCH)
        if self._broker_memory.may_have_lost_messages():
            self._locked_runs.skip_if_locked(self._republisher.mark_due)
        self._do(find_work(self._results_since()))
        return True

    def _do(self, work: Work) -> None:
        if not work.results:
            self._all_results_seen_at = work.at
        if work.reports or work.results:
            self._locked_runs.skip_if_locked(partial(self._process_reports, work))
        # A result may have ended an attempt whose retry is due at once.
        if (work.steps or work.results) and time.monotonic() >= self._check_steps_from:
            self._locked_runs.skip_if_locked(self._check_due_steps)
        if work.runs:
            self._locked_runs.skip_if_locked(partial(check_due_runs, self._locked_runs))
        if work.schedules:
            self._locked_runs.skip_if_locked(fire_due)
        self._extend_leases_after_pause()
        if work.lost and time.monotonic() >= self._enforce_leases_from:
            self._locked_runs.skip_if_locked(self._end_attempts_of_dead_executors)

    def _extend_leases_after_pause(self) -> None:
        """Extend the leases after a pause without an error: a database lock, a suspended machine.

        Wall clock: the monotonic clock stops while the machine is suspended.
        """
        now = time.time()
        if now - self._moved_at > self.pause + leases.lease().total_seconds() / 2:
            self.extend_leases()
        self._moved_at = now

    def _process_reports(self, work: Work) -> None:
        """Mirror new reports; end steps whose stored result is final but not yet recorded."""
        reported = [step.task_id for step in self._reported_steps()] if work.reports else []
        rows = {row.task_id: row for row in self._changed_results(work)} if work.results else {}
        foreign: dict[str, Report] = {}
        for step in active_steps().filter(task_id__in=list(rows)) if rows else ():
            row = rows[str(step.task_id)]
            verdict = watch_once(watched(step), stored(row), step.db_now)
            _observe_lag(step.db_now, row.date_done)
            match verdict:
                case End():
                    end = partial(self._end, step, verdict, row.status, row.traceback)
                    self._locked_runs.skip_if_locked(end, step.run_id)
                case Mirror(meta, due_at):
                    foreign[row.task_id] = Report(meta=meta, at=row.date_done, due_at=due_at)
                case Keep(due_at) if row.status not in states.READY_STATES and step.started_at:
                    # An unchanged report still shows that the task is alive.
                    foreign[row.task_id] = Report(meta=step.meta, at=row.date_done, due_at=due_at)
        if reported or foreign:
            mirror(reported, foreign)

    def _reported_steps(self) -> list[Any]:
        """The running steps whose children have reported since a tick mirrored them."""
        rows: QuerySet[Any] = Step.objects.filter(pk__in=ids_of_reported_steps())
        # A cancelled run shows no more progress.
        rows = rows.filter(state=StepState.RUNNING, run__cancel_requested_at=None)
        rows = rows.exclude(run__in=self._locked_runs.runs()).order_by("unmirrored_since")
        columns = ("task_id", "reported_at", "chunk")
        found = list(rows.only(*columns).annotate(db_now=Now())[:BATCH])
        for step in found:
            if not step.is_mapped:
                _observe_lag(step.db_now, step.reported_at)
        return found

    def _results_since(self) -> datetime | None:
        """A tick has looked at all results that were stored before this time. None: at none."""
        seen = self._results_seen_until and self._results_seen_until - OVERLAP
        all_seen = self._all_results_seen_at and self._all_results_seen_at - CLOCKS_APART
        return max(filter(None, (seen, all_seen)), default=None)

    def _changed_results(self, work: Work) -> list[TaskResult]:
        rows: QuerySet[Any] = changed_results(self._results_since()).annotate(db_now=Now())
        found = list(rows.order_by("date_done")[:BATCH])
        if len(found) < BATCH:
            self._all_results_seen_at = work.at
        if found:
            # A foreign task's result is stamped by its worker's clock, which may be ahead.
            self._results_seen_until = min(found[-1].date_done, found[-1].db_now)
        return found

    def _check_due_steps(self) -> None:
        """Handle timeouts of steps, lost messages, and run rows older than their steps."""
        to_republish: list[Step | Item] = []
        stale_runs: set[UUID] = set()
        due = active_steps().filter(pk__in=ids_of_due_steps())
        due = due.exclude(run__in=self._locked_runs.runs())
        # Last: steps of large batches, which were left to a tick to publish.
        steps = list(due.order_by(UNPUBLISHED_LAST, "due_at", "pk")[:DUE_BATCH])
        if mapped := [step for step in steps if step.is_mapped]:
            check_due(mapped, self._locked_runs, self._republisher)
            steps = [step for step in steps if not step.is_mapped]
        for step in steps:
            if step.awaits:
                self._locked_runs.skip_if_locked(partial(expire, step), step.run_id)
        if in_line := [step for step in steps if step.is_in_line]:
            self._locked_runs.skip_if_locked(partial(shared_limits.resume, in_line))
        steps = [step for step in steps if not (step.awaits or step.is_in_line)]
        rows = stored_of(steps)
        for step in steps:
            if step.run.cancel_requested_at is not None:
                self._locked_runs.skip_if_locked(partial(self._end_cancelled, step), step.run_id)
                continue
            stored = rows.get(step.task_id)
            match watch_once(watched(step), stored, step.db_now):
                case End() as verdict:
                    end = partial(self._end_due, step, verdict, stored)
                    self._locked_runs.skip_if_locked(end, step.run_id)
                    continue
                case Republish():
                    to_republish.append(step)
                case Keep(due_at) | Mirror(_, due_at):
                    self._locked_runs.skip_if_locked(
                        partial(_set_due_at, step, due_at), step.run_id
                    )
            if is_run_row_stale(step):
                stale_runs.add(step.run_id)
        if stale_runs:
            mirror(stale_runs=stale_runs)
        if to_republish:
            self._republisher.check(to_republish)

    def _end_cancelled(self, step: Any) -> None:
        end_cancelled(str(step.task_id))
        terminate(step)

    def _end_due(self, step: Any, verdict: End, stored: Stored | None) -> None:
        # Record first: killing the process makes its worker report a lost process.
        recorded = self._end(step, verdict, stored.state if stored else None)
        if recorded is not None and verdict.may_run:
            terminate(step)

    def _end(
        self, step: Any, verdict: End, state: str | None = None, traceback: str | None = None
    ) -> Ending | None:
        return record_tick_outcome(step, verdict.outcome, verdict.retry, state, traceback)

    def _end_attempts_of_dead_executors(self) -> None:
        """End the attempts of executors whose lease has expired."""
        lease = leases.lease()
        left = active_steps().filter(pk__in=ids_of_lost_steps(lease))
        for step in left.exclude(run__in=self._locked_runs.runs())[:BATCH]:
            if step.is_mapped:
                end_lost(step, Now() - lease, self._locked_runs)
                continue
            verdict = watch_once(watched(step, dead=True), None, step.db_now)
            if isinstance(verdict, End):
                self._locked_runs.skip_if_locked(
                    partial(self._end_lost_attempt, step, verdict), step.run_id
                )

    def _end_lost_attempt(self, step: Any, verdict: End) -> None:
        metrics.count("workflow_leases_lost", by=bool(self._end(step, verdict)))


def _fill_places() -> None:
    """Open runs whose turn has come although nobody opened them: a process died, a limit grew."""
    for workflow, key in list(runs_in_line.unfilled()):
        pass_place_on(workflow, key)


def _prune() -> None:
    if retention := setting("RETENTION"):
        prune(timedelta(seconds=retention), at_most=PRUNE_BATCH)
        prune_firings(timedelta(seconds=retention), at_most=PRUNE_BATCH)


def _observe_lag(now: datetime, reported_at: datetime) -> None:
    metrics.observe("workflow_mirror_lag_seconds", (now - reported_at).total_seconds())


def _set_due_at(step: Step, due_at: datetime | None) -> None:
    """Set it only if the step is still due: a cancel may have set another time."""
    Step.objects.filter(task_id=step.task_id, due_at__lte=Now()).update(due_at=due_at)
