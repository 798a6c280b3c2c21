"""`manage.py workflow log`: the lines of a run's log, for a terminal or a pipe."""

import logging
import time
from collections.abc import Iterator
from uuid import UUID

from parent.errors import UnknownRun
from parent.logs.read import read_log
from parent.models import Run

__all__ = ["log_lines"]

INTERVAL = 1.0
"""Seconds between two looks while it follows."""


def log_lines(
    run_id: UUID, *, follow: bool, step: str | None = None, level: str | None = None
) -> Iterator[str]:
    """The lines as text. With `follow` it ends after the run does.

    Raises:
        UnknownRun: there is no such run.
    """
    lowest = logging.getLevelNamesMapping()[level] if level else 0
    place, recent = 0, set[str]()
    while True:
        run = Run.objects.filter(pk=run_id).first()
        if run is None:
            raise UnknownRun(f"There is no run {run_id}: the id is wrong, or the run was deleted.")
        page = read_log(run, after=place, step=step, level=lowest)
        yield from (line.as_text() for line in page.lines if line.id not in recent)
        # Lines of the last seconds come again with the next page.
        recent = {line.id for line in page.lines}
        place = page.next
        if not page.more:
            if run.ended or not follow:
                return
            time.sleep(INTERVAL)
