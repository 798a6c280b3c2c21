"""The layers of a graph, and the order inside each: few lines cross. Pure."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

__all__ = [
    "SWEEPS",
    "Cell",
    "Lane",
    "Neighbours",
    "cells_of",
    "known",
    "layers_of",
    "mean",
    "ordered",
]

SWEEPS = 4
"""How often all layers are put in order by their neighbours."""


class Lane(NamedTuple):
    """The place of all lines from `source` in a layer that they pass."""

    source: str
    layer: int


Cell = str | Lane


Neighbours = Mapping[Cell, Sequence[Cell]]


def known(after: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The graph without unknown and repeated names, and without circles."""
    known = {
        name: [each for each in dict.fromkeys(names) if each in after]
        for name, names in after.items()
    }
    if len(_sorted(known)) == len(known):
        return known
    place = {name: number for number, name in enumerate(known)}
    return {
        name: [each for each in names if place[each] < place[name]] for name, names in known.items()
    }


def _sorted(after: Mapping[str, Sequence[str]]) -> list[str]:
    """Each name behind those that it comes after; those of a circle are left out."""
    left = {name: len(names) for name, names in after.items()}
    followers: dict[str, list[str]] = {name: [] for name in after}
    for name, names in after.items():
        for each in names:
            followers[each].append(name)
    found = [name for name, count in left.items() if not count]
    for name in found:  # it grows
        for follower in followers[name]:
            left[follower] -= 1
            if not left[follower]:
                found.append(follower)
    return found


def layers_of(after: Mapping[str, Sequence[str]]) -> dict[str, int]:
    layer: dict[str, int] = {}
    for name in _sorted(after):
        layer[name] = 1 + max((layer[each] for each in after[name]), default=-1)
    return layer


def cells_of(
    after: Mapping[str, Sequence[str]], layer: Mapping[str, int]
) -> tuple[list[list[Cell]], dict[Cell, list[Cell]]]:
    """What each layer holds, boxes and lanes; and for each of these its neighbours before it.

    The lines from one box share a lane in each layer that they pass.
    """
    cells: list[list[Cell]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    above: dict[Cell, list[Cell]] = {}
    for name in after:
        cells[layer[name]].append(name)
        above[name] = []
    for target, sources in after.items():
        for source in sources:
            before: Cell = source
            for passed in range(layer[source] + 1, layer[target]):
                lane = Lane(source, passed)
                if lane not in above:
                    cells[passed].append(lane)
                    above[lane] = [before]
                before = lane
            above[target].append(before)
    return cells, above


def ordered(cells: list[list[Cell]], above: Neighbours, below: Neighbours) -> list[list[Cell]]:
    """The layers, each in the order of its neighbours' mean places: few lines cross.

    The best order of all sweeps counts, the earliest of equals.
    """
    best, fewest = cells, _crossings(cells, above)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        neighbours = below if sweep % 2 else above
        rows = [*cells]
        place = {cell: at for row in rows for at, cell in enumerate(row)}
        for number in range(len(rows))[:: -1 if sweep % 2 else 1]:
            means = {
                cell: mean([place[each] for each in neighbours[cell]], place[cell])
                for cell in rows[number]
            }
            # `sorted` is stable: what has no neighbours, or equal ones, stays in its order.
            rows[number] = sorted(rows[number], key=means.__getitem__)
            place.update({cell: at for at, cell in enumerate(rows[number])})
        cells = rows
        crossings = _crossings(cells, above)
        if crossings < fewest:
            best, fewest = cells, crossings
    return best


def _crossings(cells: Sequence[Sequence[Cell]], above: Neighbours) -> int:
    """How many pairs of lines cross."""
    crossings = 0
    for upper, lower in pairwise(cells):
        place = {cell: at for at, cell in enumerate(upper)}
        ends = [at for cell in lower for at in sorted(place[each] for each in above[cell])]
        # The inversions of `ends`, counted by a Fenwick tree.
        seen = [0] * (len(upper) + 1)
        for count, end in enumerate(ends):
            at, smaller = end + 1, 0
            while at:
                smaller += seen[at]
                at -= at & -at
            crossings += count - smaller
            at = end + 1
            while at <= len(upper):
                seen[at] += 1
                at += at & -at
    return crossings


def mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default
