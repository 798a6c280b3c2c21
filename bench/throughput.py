"""Runs of three steps in a second, beside native chains of three tasks with results stored.

The calls that start them are counted: as in a service, they go on while workers work. The other
lines start all of them first, and only then let the workers begin.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from statistics import median
from typing import NamedTuple

from bench.environment import clear, held_slots, worker
from bench.figure import Figure
from bench.sides import REPORTING, SILENT, Side
from tests.waiting import until

__all__ = ["all_at_once", "figures"]

Rounds = tuple[list["Seconds"], list["Seconds"]]
"""Of our side, and of the native one."""


class Seconds(NamedTuple):
    """The seconds of one round: to start all, and then until the last has ended."""

    starting: float
    working: float


def figures(*, quick: bool) -> Iterator[Figure]:
    starts, rounds = (50, 1) if quick else (150, 4)
    for slots in (1, 2):
        with worker("prefork", slots):
            for kind, sides, wanted in ("", REPORTING, 1.5), (", silent children", SILENT, None):
                in_slots = f"{slots} slot{'s' * (slots > 1)}"
                usual = measured(sides, starts, rounds, slots)
                yield figure(f"throughput, {in_slots}{kind}", starts, usual, sum, wanted)
                held = measured(sides, starts, rounds, slots, hold=True)
                yield figure("  all started, then begun", starts, held, sum)
                yield figure("    without the starts", starts, held, working)
                together = measured(sides, starts, rounds, slots, hold=True, together=True)
                yield figure("  started by one call, then begun", starts, together, sum)


def measured(
    sides: tuple[Side, Side],
    starts: int,
    rounds: int,
    slots: int,
    *,
    hold: bool = False,
    together: bool = False,
) -> Rounds:
    """The rounds of both sides, by turns; see `all_at_once`."""
    ours, native = sides
    seconds: dict[Side, list[Seconds]] = {ours: [], native: []}
    for side in sides:
        # Connections open, caches fill.
        all_at_once(side, 10, slots, hold=hold, together=together)
    for _ in range(rounds):
        for side in (ours, native, native, ours):
            seconds[side].append(all_at_once(side, starts, slots, hold=hold, together=together))
    return seconds[ours], seconds[native]


def working(seconds: Seconds) -> float:
    return seconds.working


def figure(
    name: str,
    starts: int,
    rounds: Rounds,
    of: Callable[[Seconds], float],
    at_least: float | None = None,
) -> Figure:
    rates = [starts / median(map(of, seconds)) for seconds in rounds]
    return Figure(
        name=name,
        ours=f"{rates[0]:.1f} runs/s",
        other=f"native {rates[1]:.1f} chains/s",
        value=rates[0] / rates[1],
        at_least=at_least,
    )


def all_at_once(
    side: Side, starts: int, slots: int, *, hold: bool = False, together: bool = False
) -> Seconds:
    """Start all, one call after another, and wait for the last end.

    Args:
        hold: let none begin before all are started.
        together: start them by one call.
    """
    clear()
    with held_slots(slots) if hold else nullcontext():
        began = time.monotonic()
        if together:
            side.start_many(starts)
        else:
            for _ in range(starts):
                side.start()
        started = time.monotonic()
    until(f"{starts} ends", lambda: side.ended() == starts, timeout=120, every=0.03)
    return Seconds(started - began, time.monotonic() - started)
