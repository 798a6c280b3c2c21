"""Fifty runs of twenty short steps, started together on one slot: when the last of them begins.

Short children follow one another in one message. That must not let the runs that wait behind them
begin later than one time slice.
"""

import time
from collections.abc import Iterator

from django.db.models import Max

from bench.environment import clear, held_slots, worker
from bench.figure import Figure
from bench.flows.workflows import twenty
from parent.conf import DEFAULTS
from parent.models import Run, RunState, Step
from tests.waiting import until

__all__ = ["figures"]


def figures(*, quick: bool) -> Iterator[Figure]:
    runs = 20 if quick else 50
    slice_seconds = DEFAULTS["WORKFLOW_TIME_SLICE"] or 0.0
    with_slice, all_with_slice = begun(runs, slice_seconds)
    alone, all_alone = begun(runs, 0.0)
    yield Figure(
        name=f"fairness, the last of {runs} begins",
        ours=f"after {with_slice:.2f} s",
        other=f"{alone:.2f} s with messages alone, less",
        value=with_slice - alone,
        at_most=slice_seconds,
    )
    yield Figure(
        name="  and all have ended",
        ours=f"after {all_with_slice:.2f} s",
        other=f"{all_alone:.2f} s with messages alone",
        value=all_with_slice / all_alone,
    )


def begun(runs: int, slice_seconds: float) -> tuple[float, float]:
    """Seconds from the release of the slot to the last first step, and to the last end."""
    with worker("prefork", 1, WORKFLOW_TIME_SLICE=str(slice_seconds)):
        warm(3)
        clear()
        with held_slots(1):
            for _ in range(runs):
                twenty.start()
            released = time.time()
        until("the end of all", lambda: ended() == runs, timeout=120)
        first = Step.objects.filter(index=0).aggregate(last=Max("started_at"))["last"]
        last = Run.objects.aggregate(last=Max("finished_at"))["last"]
    return first.timestamp() - released, last.timestamp() - released


def warm(runs: int) -> None:
    """Connections open, caches fill."""
    for _ in range(runs):
        twenty.start()
    until("the warm-up", lambda: ended() == runs, timeout=60)


def ended() -> int:
    return Run.objects.filter(state=RunState.SUCCESS).count()
