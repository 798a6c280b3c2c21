"""The schedule of faults: a pure function of the seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Fault", "Kind", "schedule"]


class Kind(StrEnum):
    """A kind of fault, as the table names it."""

    KILL_CHILD = "a child's process killed"
    KILL_WORKER = "a worker's main process killed"
    KILL_ALL = "all workers killed at once"
    STOP = "a worker stopped past its lease"
    DEPLOY = "a worker told to end"
    BROKER_KILLED = "the broker killed, and started empty"
    BROKER_EMPTIED = "the broker emptied"
    BROKER_CUT = "the broker's connections cut"
    DATABASE = "the database gone"
    TWICE = "messages sent twice"
    LATE = "messages of what has ended sent again"
    CANCEL = "runs cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One fault: `at` so many seconds from the start, and for `seconds` if it lasts.

    `dice`, from 0 to 1, choose the targets among those that exist at the time.
    """

    at: float
    kind: Kind
    seconds: float
    dice: tuple[float, ...]

    def __str__(self) -> str:
        lasting = f", for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at:6.1f} s  {self.kind}{lasting}"


DECK = {
    Kind.KILL_CHILD: 3,
    Kind.KILL_WORKER: 2,
    Kind.KILL_ALL: 1,
    Kind.STOP: 2,
    Kind.DEPLOY: 2,
    Kind.BROKER_KILLED: 1,
    Kind.BROKER_EMPTIED: 1,
    Kind.BROKER_CUT: 1,
    Kind.DATABASE: 2,
    Kind.TWICE: 2,
    Kind.LATE: 2,
    Kind.CANCEL: 3,
}
"""How often each kind comes in a round. So even a short test has every kind."""

LASTING = {Kind.STOP: (7.0, 11.0), Kind.BROKER_KILLED: (0.5, 6.0), Kind.DATABASE: (0.5, 8.0)}
"""The shortest and longest seconds. A stop is longer than the lease of 6 s; an outage may be."""

GAP = (1.0, 4.0)
"""Seconds from one fault to the next."""

DICE = 5


def schedule(seed: int, seconds: float) -> list[Fault]:
    """The faults of so many seconds, in order of time."""
    # Only `random()`: it is the one method whose sequence Python guarantees for a seed.
    return list(_draw(random.Random(seed), seconds))


def _draw(source: random.Random, seconds: float) -> Iterator[Fault]:
    at = 0.0
    while True:
        deck = [kind for kind, times in DECK.items() for _ in range(times)]
        while deck:
            at += _between(source.random(), GAP)
            if at >= seconds:
                return
            kind = deck.pop(int(source.random() * len(deck)))
            lasting = _between(source.random(), LASTING.get(kind, (0.0, 0.0)))
            dice = tuple(source.random() for _ in range(DICE))
            yield Fault(at=at, kind=kind, seconds=lasting, dice=dice)


def _between(die: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return low + die * (high - low)
