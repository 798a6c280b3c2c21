"""Looking at a run until it ends: what an observer outside any worker reads of the rows."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db.models.functions import Now

from parent.conf import setting
from parent.models import Run, Step
from parent.store import executors
from parent.store.outage import outlast

__all__ = ["Look", "looks"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A run as it is `now`, by the database's clock. `attended`: an executor is alive."""

    run: Run
    steps: tuple[Step, ...]
    now: datetime
    attended: bool


def looks(run_id: UUID) -> Iterator[Look]:
    """The run at every poll interval; the last look is of its end.

    Raises:
        Run.DoesNotExist: there is no such run, or it has been deleted since.
    """
    look = _look(run_id)
    while True:
        yield look
        if look.run.ended:
            return
        time.sleep(setting("POLL_INTERVAL") or 0.5)
        look = outlast(f"look at the run {run_id}", partial(_look, run_id))


def _look(run_id: UUID) -> Look:
    run = Run.objects.defer("params", "files").annotate(db_now=Now()).get(pk=run_id)
    # After the run, so that the steps of one that has ended are read as they ended.
    steps = Step.objects.filter(run=run).defer("kwargs", "result", "traceback")
    attended = executors.alive().exists()
    return Look(run=run, steps=tuple(steps), now=run.db_now, attended=attended)
