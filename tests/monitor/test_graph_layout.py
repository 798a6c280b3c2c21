"""The layout of a graph: layers, order, places, lines."""

from itertools import combinations, pairwise
from time import process_time
from typing import NamedTuple

import pytest

from monitor.pages.drawing.layout import Box, Layout, Line, Point, Sizes, layout

SIZES = Sizes(width=100, height=40, gap_x=50, gap_y=10, inner=8, lane=14)

GRAPHS = {
    "nothing": {},
    "one": {"a": ""},
    "chain": {"a": "", "b": "a", "c": "b"},
    "lone": {"a": "", "b": "", "c": ""},
    "diamond": {"top": "", "left": "top", "right": "top", "end": "left right"},
    "shortcut": {"a": "", "b": "a", "c": "b", "d": "a c"},
    "long lines": {"a": "", "b": "a", "c": "b", "d": "c", "e": "a b d", "f": "a"},
    "declared backwards": {"end": "left right", "right": "top", "left": "top", "top": ""},
    "bundle beside a box": {
        "a": "",
        **{f"s{n}": "a" for n in range(9)},
        "b": "a",
        "c": "b",
        "z": " ".join(["a", "c", *(f"s{n}" for n in range(9))]),
    },
    "lone ones": {f"s{n}": "" for n in range(8)},
    "crossed": {"a": "", "b": "", "c": "", "x": "c", "y": "b", "z": "a"},
    "two parts": {"a": "", "b": "a", "x": "", "y": "x", "z": "x"},
    "fan": {
        "a": "",
        **{f"s{n}": "a" for n in range(100)},
        "z": " ".join(f"s{n}" for n in range(100)),
    },
    "chain of 50": {f"s{n}": f"s{n - 1}" if n else "" for n in range(50)},
    "circle": {"a": "c", "b": "a", "c": "b", "d": "c"},
    "itself": {"a": "a"},
    "unknown": {"a": "gone", "b": "a a"},
}
each_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)


def split(graph: dict[str, str]) -> dict[str, list[str]]:
    return {name: names.split() for name, names in graph.items()}


def drawn(graph: dict[str, str]) -> Layout:
    return layout(split(graph), SIZES)


def by_name(found: Layout) -> dict[str, Box]:
    return {box.name: box for box in found.boxes}


@pytest.mark.parametrize(
    ("graph", "layers"),
    [
        ("nothing", []),
        ("chain", ["a", "b", "c"]),
        ("lone", ["a b c"]),
        ("diamond", ["top", "left right", "end"]),
        ("shortcut", ["a", "b", "c", "d"]),  # by the longest path
        ("long lines", ["a", "b f", "c", "d", "e"]),
        ("declared backwards", ["top", "right left", "end"]),  # in the author's order
        ("two parts", ["a x", "b y z"]),
        ("circle", ["a", "b", "c", "d"]),  # a check refuses it, and the page is shown
        ("itself", ["a"]),
        ("unknown", ["a", "b"]),
    ],
)
def test_a_step_is_on_the_layer_after_the_last_that_it_waits_for(
    graph: str, layers: list[str]
) -> None:
    found: dict[int, list[str]] = {}
    for box in drawn(GRAPHS[graph]).boxes:
        found.setdefault(box.layer, []).append(box.name)

    assert [" ".join(found[number]) for number in sorted(found)] == layers


class Shape(NamedTuple):
    """What lines lead to: a box, or a bundle of boxes."""

    x: float
    y: float
    right: float
    bottom: float
    layer: int

    @property
    def middle(self) -> float:
        return (self.y + self.bottom) / 2


def shapes(found: Layout) -> dict[str, Shape]:
    """By name; a bundle has that of its first box."""
    layer = {box.name: box.layer for box in found.boxes}
    bundled = {name for bundle in found.bundles for name in bundle.names}
    alone = {
        box.name: Shape(box.x, box.y, box.x + SIZES.width, box.y + SIZES.height, box.layer)
        for box in found.boxes
        if box.name not in bundled
    }
    return alone | {
        each.names[0]: Shape(
            each.x, each.y, each.x + each.width, each.y + each.height, layer[each.names[0]]
        )
        for each in found.bundles
    }


@each_graph
def test_every_box_and_line_is_drawn_once_inside_the_drawing(graph: dict[str, str]) -> None:
    found = drawn(graph)

    assert [box.name for box in found.boxes] == list(graph)
    for box in found.boxes:
        assert 0 <= box.x <= found.width - SIZES.width
        assert 0 <= box.y <= found.height - SIZES.height
    boxes = by_name(found)
    first = {name: each.names[0] for each in found.bundles for name in each.names}
    expected = {
        (first.get(source, source), first.get(target, target))
        for target, sources in split(graph).items()
        for source in sources
        if source in graph and boxes[source].layer < boxes[target].layer
    }
    assert {(line.source, line.target) for line in found.lines} == expected
    assert len(found.lines) == len(expected)
    for line in found.lines:
        for point in line.points:
            assert 0 <= point.x <= found.width
            assert 0 <= point.y <= found.height


@each_graph
def test_no_box_covers_another_and_no_line_goes_through_one(graph: dict[str, str]) -> None:
    found = drawn(graph)

    for one, other in combinations(found.boxes, 2):
        below = abs(one.y - other.y) >= SIZES.height + SIZES.inner - 0.2
        beside = abs(one.x - other.x) >= SIZES.width + SIZES.inner
        assert below or beside, (one, other)
    for first, second in combinations(shapes(found).values(), 2):
        apart = max(first.y, second.y) - min(first.bottom, second.bottom)
        assert first.layer != second.layer or apart >= SIZES.gap_y - 0.2, (first, second)
    for line in found.lines:
        for before, after in pairwise(line.points):
            for name, shape in shapes(found).items():
                passes = before.x < shape.right and shape.x < after.x
                hit = passes and shape.y <= before.y <= shape.bottom
                assert not hit, (line, name)


@each_graph
def test_a_line_goes_from_side_to_side_and_never_back(graph: dict[str, str]) -> None:
    found = drawn(graph)
    outlines = shapes(found)

    for line in found.lines:
        source, target = outlines[line.source], outlines[line.target]
        assert line.points[0] == pytest.approx((source.right, source.middle))
        assert line.points[-1] == pytest.approx((target.x, target.middle))
        assert all(before.x < after.x for before, after in pairwise(line.points))


@each_graph
def test_a_bundle_holds_its_boxes_and_no_others(graph: dict[str, str]) -> None:
    found = drawn(graph)

    for bundle in found.bundles:
        for box in found.boxes:
            right, bottom = box.x + SIZES.width, box.y + SIZES.height
            across = bundle.x < box.x and right < bundle.x + bundle.width
            inside = across and bundle.y < box.y and bottom < bundle.y + bundle.height
            assert inside is (box.name in bundle.names), box


@pytest.mark.parametrize("name", ["chain", "chain of 50"])
def test_a_chain_is_straight(name: str) -> None:
    found = drawn(GRAPHS[name])

    assert found.height == SIZES.height
    assert {box.y for box in found.boxes} == {0}
    assert all("C" not in line.path for line in found.lines)


def test_a_diamond_is_symmetrical() -> None:
    boxes = by_name(drawn(GRAPHS["diamond"]))

    assert boxes["left"].y == 0
    assert boxes["right"].y == 50
    assert boxes["top"].y == boxes["end"].y == 25


def test_what_fans_out_stands_in_the_middle_of_it() -> None:
    found = drawn({"a": "", "b": "a", "c": "a", "d": "a", "z": "b c d"})
    boxes = by_name(found)

    assert found.height == 3 * 50 - 10
    assert boxes["a"].y == boxes["z"].y == boxes["c"].y == 50
    assert found.bundles == []


def test_a_wide_fan_is_a_bundle_with_one_line_on_each_side() -> None:
    found = drawn(GRAPHS["fan"])
    boxes = by_name(found)

    (bundle,) = found.bundles
    assert bundle.names == tuple(f"s{n}" for n in range(100))
    assert [(line.source, line.target) for line in found.lines] == [("a", "s0"), ("s0", "z")]
    assert found.height == bundle.height < 1000
    assert boxes["a"].y == boxes["z"].y == found.height / 2 - 20
    # In rows, as they are read.
    assert [boxes[f"s{n}"].x for n in (1, 2, 6)] == pytest.approx(
        [boxes["s0"].x + 108, boxes["s0"].x + 216, boxes["s0"].x]
    )
    assert boxes["s6"].y == boxes["s0"].y + 48


@pytest.mark.parametrize(
    ("names", "kinds", "bundles"),
    [
        ("b c d e f g", {}, []),
        ("b c d e f g h", {}, ["b c d e f g h"]),
        ("b c d e f g h", {"h": "failed"}, []),
        ("b c d e f g h i", {"c": "failed"}, ["b d e f g h i"]),
    ],
)
def test_a_bundle_has_at_least_seven_of_one_kind(
    names: str, kinds: dict[str, str], bundles: list[str]
) -> None:
    graph = {"a": [], **{name: ["a"] for name in names.split()}}

    found = layout(graph, SIZES, kinds)

    assert [" ".join(bundle.names) for bundle in found.bundles] == bundles


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ("crossed", "z y x"),
        ("two parts", "b y z"),
    ],
)
def test_the_order_inside_a_layer_avoids_crossings(graph: str, expected: str) -> None:
    boxes = drawn(GRAPHS[graph]).boxes

    second = sorted((box for box in boxes if box.layer == 1), key=lambda box: box.y)
    assert [box.name for box in second] == expected.split()


def test_lines_from_one_box_share_their_way_past_a_layer() -> None:
    graph = {"a": "", "b": "a", "c": "b", "x": "a c", "y": "a c"}

    ways = [line.points[1:-1] for line in drawn(graph).lines if line.source == "a"]

    assert ways[1] == ways[2]
    assert len(ways[1]) == 4


@pytest.mark.parametrize(
    ("points", "path"),
    [
        ([(0, 5), (50, 5)], "M0 5H50"),
        ([(0, 5), (50, 25)], "M0 5C25 5 25 25 50 25"),
        ([(0, 5), (50, 25), (150, 25), (200, 5)], "M0 5C25 5 25 25 50 25H150C175 25 175 5 200 5"),
    ],
)
def test_a_line_is_a_path(points: list[tuple[float, float]], path: str) -> None:
    line = Line(source="a", target="b", points=[Point(*point) for point in points])

    assert line.path == path


def test_a_tangle_takes_no_time_to_speak_of() -> None:
    """200 steps with 1,000 lines, many of them long: what a page draws at most."""
    graph = {
        f"s{n}": " ".join(f"s{n - k * k}" for k in range(1, 7) if n >= k * k) for n in range(200)
    }
    begun = process_time()

    found = drawn(graph)

    assert len(found.lines) > 1000
    assert process_time() - begun < 2
