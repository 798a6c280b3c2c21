"""Runs of three steps in a second, beside native chains of three tasks with results stored."""

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

from bench.environment import clear, held_slots, worker
from bench.figure import Figure
from bench.sides import REPORTING, SILENT, Side
from tests.waiting import until

__all__ = ["figures"]


class Seconds(NamedTuple):
    """The seconds of one round: to start all, and to run all."""

    starting: float
    working: float


def figures(*, quick: bool) -> Iterator[Figure]:
    starts, rounds = (50, 1) if quick else (150, 4)
    for slots in (1, 2):
        with worker("prefork", slots):
            for kind, sides in (("", REPORTING), (", silent children", SILENT)):
                ours, native = measured(sides, starts, rounds, slots)
                in_slots = f"{slots} slot{'s' * (slots > 1)}"
                yield figure(f"throughput, {in_slots}{kind}", starts, ours, native, sum)
                yield figure("  once all are started", starts, ours, native, working)
                ours, native = measured(sides, starts, rounds, slots, together=True)
                yield figure("  started by one call", starts, ours, native, sum)


def measured(
    sides: tuple[Side, Side], starts: int, rounds: int, slots: int, *, together: bool = False
) -> tuple[list[Seconds], list[Seconds]]:
    """The rounds of both sides, by turns."""
    ours, native = sides
    seconds: dict[Side, list[Seconds]] = {ours: [], native: []}
    for side in sides:
        all_at_once(side, 10, slots, together=together)  # connections open, caches fill
    for _ in range(rounds):
        for side in (ours, native, native, ours):
            seconds[side].append(all_at_once(side, starts, slots, together=together))
    return seconds[ours], seconds[native]


def working(seconds: Seconds) -> float:
    return seconds.working


def figure(
    name: str,
    starts: int,
    ours: list[Seconds],
    native: list[Seconds],
    of: Callable[[Seconds], float],
) -> Figure:
    rates = [starts / median(map(of, seconds)) for seconds in (ours, native)]
    return Figure(
        name=name,
        ours=f"{rates[0]:.1f} runs/s",
        other=f"native {rates[1]:.1f} chains/s",
        value=rates[0] / rates[1],
    )


def all_at_once(side: Side, starts: int, slots: int, *, together: bool = False) -> Seconds:
    """Start all while the slots are held, release the slots, and wait for the last end.

    Args:
        together: by one call, in place of one for each.
    """
    clear()
    with held_slots(slots):
        began = time.monotonic()
        if together:
            side.start_many(starts)
        else:
            for _ in range(starts):
                side.start()
        started = time.monotonic()
    until(f"{starts} ends", lambda: side.ended() == starts, timeout=120)
    return Seconds(started - began, time.monotonic() - started)
