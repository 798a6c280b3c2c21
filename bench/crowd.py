"""Ten thousand runs at once, on two slots: all end, ticks stay fast, memory does not grow."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from django.contrib.auth.models import User

from bench.environment import held_slots, worker
from bench.figure import Figure, NotMeasured, percentile
from bench.flows import ticks
from bench.flows.workflows import three
from bench.memory import Memory, growth
from bench.web import Poller, serving
from parent.conf import interval
from parent.models import Run, RunState
from tests.waiting import until

__all__ = ["figures"]

RUNS, SLOTS = 10_000, 2
FLAT = 1.1
"""How much the memory of a process may grow, from the first tenth of the time to the last."""
LONGEST = 1800.0  # seconds


def figures(*, quick: bool) -> Iterator[Figure]:
    wanted = RUNS // 10 if quick else RUNS
    owner = User.objects.create_user("crowd")
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        worker("prefork", SLOTS, BENCH_TICKS="1") as running,
        serving(Path(folder)) as (web, port),
    ):
        runs: list[str] = []
        held = {"worker": running.process.pid, "web": web}
        with Memory(held) as memory, Poller(port, owner, runs) as poller:
            with held_slots(SLOTS):
                began = time.monotonic()
                for _ in range(wanted):
                    runs.append(str(three.start(owner=owner).pk))
                starting = time.monotonic() - began
            began = time.monotonic()
            until("the end of all", lambda: ended() == wanted, timeout=LONGEST, every=0.25)
            working = time.monotonic() - began
        good = Run.objects.filter(state=RunState.SUCCESS).count()
        seconds = ticks.taken()
    owner.delete()
    yield Figure(
        name=f"{wanted:,} runs at once, {SLOTS} slots",
        ours=f"{good:,} ended OK",
        other=f"started in {starting:.0f} s, ended in {working:.0f} s",
        value=good / wanted,
        at_least=1,
    )
    if not seconds:
        raise NotMeasured("the worker reported no tick")
    poll = interval("POLL_INTERVAL")
    yield Figure(
        name=f"  longest of {len(seconds)} ticks",
        ours=f"{max(seconds) * 1e3:.0f} ms",
        other=f"median {median(seconds) * 1e3:.0f} ms, poll {poll * 1e3:g} ms",
        value=max(seconds) / poll,
        at_most=1,
    )
    for name, seen in memory.megabytes.items():
        first, last = growth(seen)
        yield Figure(
            name=f"  memory of the {name}",
            ours=f"{last:.0f} MB at last",
            other=f"{first:.0f} MB at first, {max(seen):.0f} MB at most",
            value=last / first,
            at_most=FLAT,
        )
    polls = len(poller.seconds)
    if not polls:
        raise NotMeasured(f"the web answered nothing: {poller.bad[:1]}")
    yield Figure(
        name="  the web polled meanwhile",
        ours=f"{polls - len(poller.bad):,} of {polls:,}",
        other=f"p99 {percentile(poller.seconds, 99) * 1e3:.0f} ms" + "".join(poller.bad[:1]),
        value=1 - len(poller.bad) / polls,
        at_least=1,
    )


def ended() -> int:
    return Run.objects.filter(state__in=Run.ENDED).count()
