"""Runs of three no-op steps in a second, beside native chains of three with results stored."""

import time
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from bench.figure import Figure
from bench.ground import clear, held_slots, worker
from bench.sides import NATIVE, OURS, Side
from tests.waiting import until

__all__ = ["figures"]


class Seconds(NamedTuple):
    """Of one round: starting all, and then working all off."""

    starting: float
    working: float


def figures(*, quick: bool) -> Iterator[Figure]:
    starts, rounds = (50, 1) if quick else (150, 4)
    for slots in (1, 2):
        seconds: dict[Side, list[Seconds]] = {OURS: [], NATIVE: []}
        with worker("prefork", slots):
            for side in (OURS, NATIVE):
                all_at_once(side, 10, slots)
            for _ in range(rounds):
                for side in (OURS, NATIVE, NATIVE, OURS):
                    seconds[side].append(all_at_once(side, starts, slots))
        working = [starts / median(s.working for s in seconds[side]) for side in (OURS, NATIVE)]
        in_all = [starts / median(sum(s) for s in seconds[side]) for side in (OURS, NATIVE)]
        yield figure(f"throughput, {slots} slot{'s' * (slots > 1)}", *working, at_least=0.9)
        yield figure("  counting the start calls", *in_all)


def figure(name: str, ours: float, native: float, *, at_least: float | None = None) -> Figure:
    return Figure(
        name=name,
        ours=f"{ours:.1f} runs/s",
        other=f"native {native:.1f} chains/s",
        value=ours / native,
        at_least=at_least,
    )


def all_at_once(side: Side, starts: int, slots: int) -> Seconds:
    """Start all while every slot is held, let the slots go, and wait for the last end."""
    clear()
    with held_slots(slots):
        began = time.monotonic()
        for _ in range(starts):
            side.start()
        started = time.monotonic()
    until(f"{starts} ends", lambda: side.ended() == starts, timeout=120)
    return Seconds(started - began, time.monotonic() - started)
