"""`manage.py workflow log`: the lines of a run's log, for a terminal or a pipe."""

import logging
import time
from collections.abc import Iterator
from uuid import UUID

from parent.definition.name_lists import join_names
from parent.errors import UnknownRun, UnknownStep
from parent.logs.read import read_log
from parent.models import Run, Step
from parent.runs.nested.tree import with_inner_runs

__all__ = ["log_lines"]

INTERVAL = 1.0
"""Seconds between two looks while it follows."""


def log_lines(
    run_id: UUID, *, follow: bool, step: str | None = None, level: str | None = None
) -> Iterator[str]:
    """The lines as text. With `follow` it ends after the run does.

    Raises:
        UnknownRun: there is no such run.
        UnknownStep: the run has no such step.
    """
    lowest = logging.getLevelNamesMapping()[level] if level else 0
    place, recent = 0, set[str]()
    while True:
        run = Run.objects.filter(pk=run_id).first()
        if run is None:
            raise UnknownRun(f"There is no run {run_id}: the id is wrong, or the run was deleted.")
        if step is not None:
            _check_step(run, step)
        page = read_log(run, after=place, step=step, level=lowest)
        yield from (line.as_text() for line in page.lines if line.id not in recent)
        # Lines of the last seconds come again with the next page.
        recent = {line.id for line in page.lines}
        place = page.next
        if not page.more:
            if run.ended or not follow:
                return
            time.sleep(INTERVAL)


def _check_step(run: Run, name: str) -> None:
    steps = Step.objects.filter(run__in=with_inner_runs(run.pk))
    steps = steps.order_by("run__depth", "run__created_at", "index")
    known = list(dict.fromkeys(steps.values_list("name", flat=True)))
    if name in known or (not run.ended and run.steps.filter(nested=True).exists()):
        return  # a run inside of it, which has not begun, may have one
    raise UnknownStep(f"The run has no step {name!r}; its steps are: {join_names(known)}.")
