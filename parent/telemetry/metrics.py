"""Counters and histograms that a worker's threads keep in memory until they are added to the row.

A figure is a list of numbers, and two figures are added number by number. A counter's has one: the
count. A histogram's has the sum, the count up to each bound, and the total count.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["KINDS", "Figures", "Kind", "Metrics", "labels_of", "metrics"]

Figures = dict[str, dict[str, list[float]]]
"""Figures by metric name, then by label values as a JSON list."""

QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LONG = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A metric. `bounds`: a histogram's buckets in seconds; a counter has none."""

    about: str
    labels: Sequence[str] = ()
    bounds: Sequence[float] = ()

    @property
    def size(self) -> int:
        return len(self.bounds) + 2 if self.bounds else 1


KINDS: Mapping[str, Kind] = {
    "workflow_runs_started": Kind(about="Runs that were started.", labels=("workflow",)),
    "workflow_runs_ended": Kind(about="Runs that ended.", labels=("workflow", "state")),
    "workflow_step_seconds": Kind(
        about="From the start of a step's last attempt to its end.",
        labels=("workflow", "step", "state"),
        bounds=LONG,
    ),
    "workflow_step_queue_seconds": Kind(
        about="How long a step's last attempt waited in its queue.",
        labels=("workflow", "step"),
        bounds=LONG,
    ),
    "workflow_tick_seconds": Kind(about="How long a tick took.", bounds=QUICK),
    "workflow_tick_lag_seconds": Kind(
        about="How much later than it should a tick began.", bounds=QUICK
    ),
    "workflow_mirror_lag_seconds": Kind(
        about="How old a child's report was when a tick found it.", bounds=QUICK
    ),
    "workflow_schedule_fired": Kind(
        about="Runs that a schedule started.", labels=("workflow", "schedule")
    ),
    "workflow_schedule_skipped": Kind(
        about="Times of a schedule that started no run, by the reason.",
        labels=("workflow", "schedule", "reason"),
    ),
    "workflow_schedule_late_seconds": Kind(
        about="How much later than it should a schedule started its run.",
        labels=("workflow", "schedule"),
        bounds=LONG,
    ),
    "workflow_messages_republished": Kind(about="Messages that the broker seemed to have lost."),
    "workflow_leases_lost": Kind(about="Attempts taken away from workers that fell silent."),
    "workflow_processes_lost": Kind(about="Attempts whose process died under its worker."),
    "workflow_notifications": Kind(
        about="Tries to deliver a notification, by what became of it.", labels=("kind", "outcome")
    ),
}


class Metrics:
    """The figures of one process since they were last taken."""

    def __init__(self) -> None:
        self._figures: Figures = {}
        self._lock = threading.RLock()

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        if by:
            with self._lock:
                self._figure(name, labels)[0] += by

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        seconds = max(0.0, seconds)
        with self._lock:
            figure = self._figure(name, labels)
            figure[0] += seconds
            for place, bound in enumerate(KINDS[name].bounds, start=1):
                figure[place] += seconds <= bound
            figure[-1] += 1

    def _figure(self, name: str, labels: Sequence[str]) -> list[float]:
        kind = KINDS[name]
        of_kind = self._figures.setdefault(name, {})
        return of_kind.setdefault(json.dumps(labels), [0] * kind.size)

    def add(self, figures: Figures) -> None:
        """Add figures. Metrics and bounds of another release are dropped."""
        with self._lock:
            for name, of_kind in figures.items():
                for key, more in of_kind.items():
                    if name in KINDS and len(more) == KINDS[name].size:
                        mine = self._figure(name, labels_of(key))
                        mine[:] = [a + b for a, b in zip(mine, more, strict=True)]

    def take(self) -> Figures:
        """Return all figures and start again from zero."""
        with self._lock:
            taken, self._figures = self._figures, {}
        return taken


def labels_of(key: str) -> list[str]:
    """The label values, in the order of `Kind.labels`."""
    values: list[str] = json.loads(key)
    return values


metrics = Metrics()
"""The figures of this process: of its watch thread, and of its courier."""
