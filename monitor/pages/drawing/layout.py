"""Where the boxes and lines of a graph go: a layered drawing from left to right. Pure.

A small layout of our own: the ones that there are need a binary (Graphviz) or a script in the
browser, and the graphs of workflows are small.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from math import ceil, sqrt
from typing import NamedTuple

from monitor.pages.drawing.order import (
    SWEEPS,
    Cell,
    Lane,
    Neighbours,
    cells_of,
    known,
    layers_of,
    mean,
    ordered,
)

__all__ = ["Box", "Bundle", "Layout", "Line", "Point", "Sizes", "layout"]

MANY = 7
"""So many boxes with the same lines are drawn as one bundle."""
MOST_COLUMNS = 6


class Point(NamedTuple):
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of all boxes and gaps, in SVG units.

    `gap_x` is between two layers, `gap_y` within one, `inner` within a bundle; `lane` is the height
    that a line takes where it passes a layer.
    """

    width: float
    height: float
    gap_x: float
    gap_y: float
    inner: float
    lane: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A box of the graph; `x` and `y` are those of its upper left corner."""

    name: str
    layer: int
    x: float
    y: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A frame around boxes that come after the same ones, and before the same ones."""

    names: Sequence[str]
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line between two boxes: from the right side of one to the left side of the other.

    `points` are its ends, and where it enters and leaves each layer. A bundle has one line in the
    place of many: it ends at the frame, and has the name of the bundle's first box.
    """

    source: str
    target: str
    points: Sequence[Point]

    @property
    def path(self) -> str:
        """The `d` of an SVG path: curves between the layers, straight past the boxes."""
        start = self.points[0]
        parts = [f"M{start.x:g} {start.y:g}"]
        for before, point in pairwise(self.points):
            middle = (before.x + point.x) / 2
            curve = f"C{middle:g} {before.y:g} {middle:g} {point.y:g} {point.x:g} {point.y:g}"
            parts.append(f"H{point.x:g}" if before.y == point.y else curve)
        return "".join(parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """All boxes, in the order of the names, and all lines."""

    width: float
    height: float
    boxes: Sequence[Box]
    bundles: Sequence[Bundle]
    lines: Sequence[Line]


def layout(
    after: Mapping[str, Sequence[str]], sizes: Sizes, kinds: Mapping[str, str] | None = None
) -> Layout:
    """Draw a graph.

    A box is on the layer after the last of those that it comes after (the longest path). Names that
    are not a key are left out. In a circle, which workflows are checked for, only the lines that go
    forward in the given order count.

    Args:
        after: for each name those that it comes after.
        kinds: what sort of lines lead to a name. Those of a bundle have the same.
    """
    pairs = tuple((name, tuple(names)) for name, names in after.items())
    return _layout(pairs, tuple((kinds or {}).get(name, "") for name in after), sizes)


@lru_cache(maxsize=256)  # The page of a run draws the same graph again at each of its changes.
def _layout(
    pairs: tuple[tuple[str, tuple[str, ...]], ...], kinds: tuple[str, ...], sizes: Sizes
) -> Layout:
    every = known(dict(pairs))
    names = _bundles(every, dict(zip(every, kinds, strict=True)))
    first = {name: bundle[0] for bundle in names.values() for name in bundle}
    after = {name: list(dict.fromkeys(first[each] for each in every[name])) for name in names}
    layer = layers_of(after)
    cells, above = cells_of(after, layer)
    below: dict[Cell, list[Cell]] = {cell: [] for row in cells for cell in row}
    for cell, befores in above.items():
        for before in befores:
            below[before].append(cell)
    cells = ordered(cells, above, below)
    size = {
        cell: _size(names[cell] if isinstance(cell, str) else (), sizes)
        for row in cells
        for cell in row
    }
    centre = _centres(cells, above, below, {cell: high for cell, (_, high) in size.items()}, sizes)
    widths = [max(size[cell][0] for cell in row) for row in cells]
    starts = list(accumulate((width + sizes.gap_x for width in widths), initial=0.0))

    def left(name: str) -> float:
        return starts[layer[name]] + (widths[layer[name]] - size[name][0]) / 2

    bundles = [
        Bundle(
            names=names[name],
            x=left(name),
            y=centre[name] - size[name][1] / 2,
            width=size[name][0],
            height=size[name][1],
        )
        for name in names
    ]
    boxes = {box.name: box for bundle in bundles for box in _inside(bundle, layer, sizes)}
    lines = []
    for target, sources in after.items():
        for source in sources:
            at, end = layer[source], layer[target]
            ways = [
                (starts[passed], centre[Lane(source, passed)], starts[passed] + widths[passed])
                for passed in range(at + 1, end)
            ]
            points = [
                Point(left(source) + size[source][0], centre[source]),
                Point(starts[at] + widths[at], centre[source]),
                *(Point(x, y) for enters, y, leaves in ways for x in (enters, leaves)),
                Point(starts[end], centre[target]),
                Point(left(target), centre[target]),
            ]
            lines.append(Line(source=source, target=target, points=list(dict.fromkeys(points))))
    return Layout(
        width=max(0.0, starts[-1] - sizes.gap_x),
        height=max((centre[cell] + high / 2 for cell, (_, high) in size.items()), default=0.0),
        boxes=[boxes[name] for name in every],
        bundles=[bundle for bundle in bundles if len(bundle.names) > 1],
        lines=lines,
    )


def _bundles(
    after: Mapping[str, Sequence[str]], kinds: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """All names, those of each bundle together, by the first of them; most are alone."""
    before: dict[str, list[str]] = {name: [] for name in after}
    for name, names in after.items():
        for each in names:
            before[each].append(name)
    alike: dict[object, list[str]] = {}
    for name in after:
        key = (kinds[name], frozenset(after[name]), frozenset(before[name]))
        alike.setdefault(key, []).append(name)
    many = {names[0]: tuple(names) for names in alike.values() if len(names) >= MANY}
    inside = {name for names in many.values() for name in names}
    return {name: many.get(name, (name,)) for name in after if name in many or name not in inside}


def _size(names: Sequence[str], sizes: Sizes) -> tuple[float, float]:
    """Width and height of a box, of a bundle, or of a lane, which has no names."""
    if not names:
        return 0.0, sizes.lane
    if len(names) == 1:
        return sizes.width, sizes.height
    columns = _columns(len(names), sizes)
    rows = ceil(len(names) / columns)
    width = columns * (sizes.width + sizes.inner) + sizes.inner
    return width, rows * (sizes.height + sizes.inner) + sizes.inner


def _columns(count: int, sizes: Sizes) -> int:
    """The number of columns that makes the bundle about square."""
    square = sqrt(count * (sizes.height + sizes.inner) / (sizes.width + sizes.inner))
    return min(MOST_COLUMNS, max(2, ceil(square)))


def _inside(bundle: Bundle, layer: Mapping[str, int], sizes: Sizes) -> list[Box]:
    """The boxes of a bundle, row by row."""
    at = layer[bundle.names[0]]
    if len(bundle.names) == 1:
        return [Box(name=bundle.names[0], layer=at, x=bundle.x, y=bundle.y)]
    columns = _columns(len(bundle.names), sizes)
    boxes = []
    for number, name in enumerate(bundle.names):
        row, column = divmod(number, columns)
        x = bundle.x + sizes.inner + column * (sizes.width + sizes.inner)
        y = bundle.y + sizes.inner + row * (sizes.height + sizes.inner)
        boxes.append(Box(name=name, layer=at, x=x, y=y))
    return boxes


def _centres(
    cells: Sequence[Sequence[Cell]],
    above: Neighbours,
    below: Neighbours,
    height: Mapping[Cell, float],
    sizes: Sizes,
) -> dict[Cell, float]:
    """The height of each centre: near to the mean of its neighbours, and apart from the others."""
    centre: dict[Cell, float] = {}
    for row in cells:
        _place(row, dict.fromkeys(row, 0.0), centre, height, sizes.gap_y)
    for sweep in range(SWEEPS):
        neighbours = below if sweep % 2 else above
        for row in cells[:: -1 if sweep % 2 else 1]:
            wanted = {
                cell: mean([centre[each] for each in neighbours[cell]], centre[cell])
                for cell in row
            }
            _place(row, wanted, centre, height, sizes.gap_y)
    top = min((at - height[cell] / 2 for cell, at in centre.items()), default=0.0)
    return {cell: round(at - top, 1) for cell, at in centre.items()}


def _place(
    row: Sequence[Cell],
    wanted: Mapping[Cell, float],
    centre: dict[Cell, float],
    height: Mapping[Cell, float],
    gap: float,
) -> None:
    """Put the cells of a layer as near to where they are wanted as their distances allow.

    This is the least sum of squares, by pooling adjacent violators: cells that are wanted in the
    same place stand around it as one block.
    """
    offsets, total = [], 0.0
    for number, cell in enumerate(row):
        if number:
            total += (height[row[number - 1]] + height[cell]) / 2 + gap
        offsets.append(total)
    blocks: list[tuple[float, int]] = []  # mean, count
    for cell, offset in zip(row, offsets, strict=True):
        mean, count = wanted[cell] - offset, 1
        while blocks and blocks[-1][0] >= mean:
            other, size = blocks.pop()
            mean, count = (mean * count + other * size) / (count + size), count + size
        blocks.append((mean, count))
    means = [mean for mean, count in blocks for _ in range(count)]
    centre.update(zip(row, map(sum, zip(means, offsets, strict=True)), strict=True))
