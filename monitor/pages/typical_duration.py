"""The typical duration of a workflow's runs."""

from collections.abc import Iterable
from datetime import datetime
from statistics import median

from parent.models import Run, RunState

__all__ = ["medians", "typical_seconds"]

LOOK_AT = 500
"""How many of the latest successful runs are read, of all workflows together."""
TAKE = 20


def typical_seconds() -> dict[str, float]:
    """The median duration of the latest successful runs, in seconds, by workflow. One statement.

    A workflow without such a run is left out.
    """
    runs = Run.objects.filter(state=RunState.SUCCESS).order_by("-created_at", "-id")
    return medians(runs.values_list("workflow", "started_at", "finished_at")[:LOOK_AT])


def medians(runs: Iterable[tuple[str, datetime | None, datetime | None]]) -> dict[str, float]:
    """The medians of the first `TAKE` runs of each workflow, from triples of name, start, end."""
    seconds: dict[str, list[float]] = {}
    for workflow, started_at, finished_at in runs:
        taken = seconds.setdefault(workflow, [])
        if started_at and finished_at and len(taken) < TAKE:
            taken.append((finished_at - started_at).total_seconds())
    return {workflow: median(taken) for workflow, taken in seconds.items() if taken}
