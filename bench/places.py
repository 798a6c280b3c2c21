"""Runs in line for one place: do they begin in order, and how long after the end before?

First for the one place of a workflow's key, then for a limit that steps share. Beside them the
hand-over by a message from one step of a run to the next, on the same worker.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from bench.environment import clear, held_slots, worker
from bench.figure import Figure, NotMeasured, percentile
from bench.flows.workflows import alone, limited
from bench.handover import one_by_one
from bench.sides import SILENT
from parent import Workflow
from parent.models import Run, RunState, Step
from tests.waiting import until

__all__ = ["figures"]

MOST_HANDOVERS = 2.0
"""The bound: a hand-over is one transaction; the end of a run and the begin of the next are two."""


def figures(*, quick: bool) -> Iterator[Figure]:
    runs = 100 if quick else 1_000
    with worker("prefork", 1, WORKFLOW_TIME_SLICE="0"):
        one_by_one(SILENT[0], 3)
        steps = one_by_one(SILENT[0], 10 if quick else 30)
        for name, flow in (("turns of a key", alone), ("places of a limit", limited)):
            yield from figures_of(f"{name}, {runs} in line", gaps_of(flow, runs), steps)


def figures_of(name: str, gaps: Sequence[float], steps: Sequence[float]) -> Iterator[Figure]:
    yield Figure(
        name=name,
        ours=f"{median(gaps) * 1e3:.1f} ms",
        other=f"hand-over {median(steps) * 1e3:.1f} ms",
        value=median(gaps) / median(steps),
        at_most=MOST_HANDOVERS,
    )
    yield Figure(
        name="  the slowest of a hundred",
        ours=f"{percentile(gaps, 99) * 1e3:.1f} ms",
        other=f"hand-over {percentile(steps, 99) * 1e3:.1f} ms",
        value=percentile(gaps, 99) / percentile(steps, 99),
    )


def gaps_of(flow: Workflow, runs: int) -> list[float]:
    """Seconds between the bodies of runs that wait in one line.

    Raises:
        NotMeasured: they did not begin in the order of their starts.
    """
    clear()
    with held_slots(1):
        started = [flow.start().pk for _ in range(runs)]
    done = Run.objects.filter(state=RunState.SUCCESS)
    until("the end of all", lambda: done.count() == runs, timeout=600)
    found = dict(Step.objects.values_list("run_id", "result"))
    moments = [float(found[run] or 0.0) for run in started]
    if moments != sorted(moments):
        raise NotMeasured("they did not begin in the order of their starts")
    return [later - earlier for earlier, later in pairwise(moments)]
