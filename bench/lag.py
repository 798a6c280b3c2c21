"""The time from a child's report to the parent's meta, with a thousand active runs.

A report counts as shown once the parent shows it or a later one of the same child, because the
mirror copies a child's current state and not each report.
"""

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.environment import held_slots, worker
from bench.figure import Figure, percentile
from bench.flows.workflows import EVERY, REPORTS, reporting
from parent.conf import interval
from parent.models import Run, Step, StepState
from tests.waiting import until

__all__ = ["figures"]

SLOTS, RUNS, LOOK_EVERY = 2, 1_000, 0.01
SEPARATOR = "reports: "

Seen = Sequence[tuple[float, float]]
"""(time when it was seen, time stamp that it showed), in order of time."""


def figures(*, quick: bool) -> Iterator[Figure]:
    runs, seconds = (100, 8) if quick else (RUNS, 20)
    # More than a thousand, because some end before the measurement is over.
    extra = SLOTS * (int(seconds / (REPORTS * EVERY)) + 1)
    with worker("prefork", SLOTS):
        with held_slots(SLOTS):
            for _ in range(runs + extra):
                reporting.start()
        # The queue is first in, first out: all first steps end before a second step starts.
        until("the first steps' ends", lambda: begun() == runs + extra, timeout=180)
        began = time.time()
        seen = observe(began + seconds)
        in_progress = Run.objects.exclude(state__in=Run.ENDED).count()
        lags = [
            lag
            for run, stamps in reported().items()
            for lag in lags_of([stamp for stamp in stamps if stamp >= began], seen[run])
        ]
    poll = interval("POLL_INTERVAL")
    for percent, bound in ((50, None), (99, 2.0)):
        lag = percentile(lags, percent)
        yield Figure(
            name=f"mirror lag, p{percent} of {len(lags)} reports",
            ours=f"{lag:.3f} s",
            other=f"poll {poll:g} s, {in_progress:,} runs, {SLOTS} slots",
            value=lag / poll,
            at_most=bound,
        )
    yield Figure(
        name="  runs in progress meanwhile",
        ours=f"{in_progress:,}",
        other=f"{runs:,} wanted",
        value=in_progress / runs,
        at_least=1,
    )


def begun() -> int:
    """Runs whose first step is done."""
    return Step.objects.filter(index=0, state=StepState.OK).count()


def observe(deadline: float) -> Mapping[Any, Seen]:
    """What the parents' meta showed, by run, read every few milliseconds."""
    seen: dict[Any, list[tuple[float, float]]] = defaultdict(list)
    shown: dict[Any, str] = {}
    rows = Run.objects.filter(message__startswith=SEPARATOR).values_list("pk", "message")
    while (now := time.time()) < deadline:
        for run, message in rows.all():  # a new query each time
            if shown.get(run) != message:
                shown[run] = message
                seen[run].append((now, float(message.removeprefix(SEPARATOR))))
        time.sleep(LOOK_EVERY)
    return seen


def reported() -> Mapping[Any, Sequence[float]]:
    """The times at which the finished children reported, by run."""
    done: Any = Step.objects.filter(name="reports", state=StepState.OK)
    return dict(done.values_list("run_id", "result"))


def lags_of(stamps: Sequence[float], seen: Seen) -> Iterator[float]:
    """Seconds from each report until it, or a later one, was seen."""
    shown = [stamp for _, stamp in seen]
    for stamp in stamps:
        at = bisect_left(shown, stamp)
        # A report that was never seen was shown after the last read.
        if at < len(seen):
            yield seen[at][0] - stamp
