"""Runs in line for one place: do they begin in order, and how long after the end before?

First for the one place of a workflow's key, then for a limit that steps share. Beside them the
hand-over from one step of a run to the next: by a message, and in the process that ran the first.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
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

Seconds = Sequence[float]


def figures(*, quick: bool) -> Iterator[Figure]:
    runs, rounds = (100, 10) if quick else (1_000, 30)
    with worker("prefork", 1, WORKFLOW_TIME_SLICE="0"):
        by_message = hand_overs(rounds)
    with worker("prefork", 1):
        in_process = hand_overs(rounds)
        for name, flow, bound in (
            ("turns of a key", alone, 1.0),
            ("places of a limit", limited, 2.0),
        ):
            gaps = gaps_of(flow, runs)
            yield from figures_of(f"{name}, {runs} in line", gaps, by_message, in_process, bound)


def hand_overs(rounds: int) -> Seconds:
    one_by_one(SILENT[0], 3)
    return one_by_one(SILENT[0], rounds)


def figures_of(
    name: str, gaps: Seconds, by_message: Seconds, in_process: Seconds, most: float
) -> Iterator[Figure]:
    """Beside hand-overs.

    Args:
        most: the bound. The next for a place of a limit begins in a transaction of its own.
    """
    cases: list[tuple[str, Callable[[Seconds], float], str, Seconds, float | None]] = [
        (name, median, "by a message", by_message, most),
        ("  the slowest of a hundred", partial(percentile, percent=99), "by one", by_message, None),
        ("  beside one without a message", median, "in a process", in_process, None),
    ]
    for what, of, how, steps, bound in cases:
        yield Figure(
            name=what,
            ours=f"{of(gaps) * 1e3:.1f} ms",
            other=f"hand-over {how} {of(steps) * 1e3:.1f} ms",
            value=of(gaps) / of(steps),
            at_most=bound,
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
