"""The graph of a workflow for its pages: boxes with titles and states, and lines between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext, gettext_noop

from monitor.pages.drawing.layout import Bundle, Layout, Point, Sizes, layout
from parent.definition.name_lists import join_names
from parent.definition.workflow import Workflow
from parent.models import Awaits, When

__all__ = [
    "FOLDED_FROM",
    "Graph",
    "Node",
    "Place",
    "Sketch",
    "draw",
    "sketch_of",
    "with_feed",
    "workflow_graph",
]

FOLDED_FROM = 61
"""A graph of so many steps is folded."""
MOST_STEPS, MOST_LINES = 200, 1_000
"""A graph of more than these could not be read, and is not drawn."""
MOST_DOTS = 24
MOST_TITLES = 8
LETTER = 7.6  # the mean width in a title, in SVG units
NARROWEST, WIDEST = 112, 176
PADDING = 12
MARGIN = 4
TITLE_LINE, STATE_LINE, NOTE_LINE = 18, 19, 16
DOTS = Sizes(width=8, height=8, gap_x=18, gap_y=6, inner=5, lane=4)

CONDITIONS = {When.FAILED: "after a failure", When.ALWAYS: "in any case"}
IN_WORDS = {
    When.OK: gettext_noop("{title} comes after {names}."),
    When.FAILED: gettext_noop("{title} comes after {names}, if one of them failed."),
    When.ALWAYS: gettext_noop("{title} comes after {names}, in any case."),
}
NOT_BEGUN = ("waiting", "skipped", "cancelled")


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A step, as it is drawn.

    `state` is Celery's state and `word` the same for people, both empty for a step of no run.
    `why` says why it was skipped, or where `href` leads: to the step's row on the page, or to its
    run or runs. `awaits` says what from outside it waits for.
    """

    name: str
    title: str
    when: str = When.OK
    optional: bool = False
    awaits: str = ""
    state: str = ""
    word: str = ""
    why: str = ""
    href: str = ""

    @property
    def begun(self) -> bool:
        return bool(self.state) and not self.word.startswith(NOT_BEGUN)

    @property
    def note(self) -> str:
        """What it waits for, under which condition it opens, whether it is optional; in words."""
        awaited = Awaits(self.awaits).label if self.awaits else ""
        is_signal = self.awaits == Awaits.SIGNAL
        condition = "" if is_signal else CONDITIONS.get(When(self.when), "")
        parts = [awaited, condition, "optional" if self.optional else ""]
        return ", ".join(gettext(part) for part in parts if part)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a node is."""

    node: Node
    x: float
    y: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """A line; `when` is that of the step to which it leads, `taken` whether that has begun."""

    path: str
    when: str
    taken: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """A drawing in SVG units. `arrows` are where the lines end; `words` says the same in words."""

    box: Sizes
    width: float
    height: float
    places: Sequence[Place]
    frames: Sequence[Bundle]
    edges: Sequence[Edge]
    arrows: Sequence[tuple[float, float]]
    words: str

    @property
    def outer(self) -> tuple[float, float, float, float]:
        """The drawing with room for the lines around the boxes: left, top, width, height."""
        return -MARGIN, -MARGIN, self.width + 2 * MARGIN, self.height + 2 * MARGIN

    @property
    def folded(self) -> bool:
        return len(self.places) >= FOLDED_FROM

    @property
    def conditional(self) -> bool:
        """Whether some lines are dashed or dotted."""
        return any(edge.when != When.OK for edge in self.edges)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sketch:
    """The shape of a workflow, without words.

    `shape` is None if the workflow has one step, or more than `MOST_DOTS`.
    """

    shape: Layout | None
    titles: Sequence[str]
    more: int

    @property
    def dots(self) -> Sequence[Point]:
        """The centre of each step's dot."""
        boxes = () if self.shape is None else self.shape.boxes
        return [Point(at.x + DOTS.width / 2, at.y + DOTS.height / 2) for at in boxes]


def draw(nodes: Sequence[Node], after: Mapping[str, Sequence[str]]) -> Graph | None:
    """The graph of these steps; None if it would say nothing, or more than a person can see.

    Args:
        after: the names of the steps that each of them waits for.
    """
    lines = sum(map(len, after.values()))
    if not 1 < len(nodes) <= MOST_STEPS or lines > MOST_LINES:
        return None
    box = _box(nodes)
    kinds = {node.name: node.when for node in nodes}
    found = layout({node.name: after[node.name] for node in nodes}, box, kinds)
    by_name = {node.name: node for node in nodes}
    bundles = {bundle.names[0]: bundle.names for bundle in found.bundles}
    begun = {node.name for node in nodes if node.begun}
    arrows = {line.points[-1] for line in found.lines}
    return Graph(
        box=box,
        width=found.width,
        height=found.height,
        places=[Place(node=by_name[at.name], x=at.x, y=at.y) for at in found.boxes],
        frames=found.bundles,
        edges=[
            Edge(
                path=line.path,
                when=by_name[line.target].when,
                taken=not begun.isdisjoint(bundles.get(line.target, [line.target])),
            )
            for line in found.lines
        ],
        arrows=sorted((point.x, point.y) for point in arrows),
        words=_words(by_name, after),
    )


def workflow_graph(workflow: Workflow) -> Graph | None:
    """The graph of a workflow that does not run."""
    nodes = [
        Node(
            name=step.label,
            title=step.shown_title,
            when=When.ALWAYS if step.awaits == Awaits.SIGNAL else step.when,  # as in a run
            optional=step.optional,
            awaits=step.awaits,
        )
        for step in workflow.all_steps
    ]
    after = {
        step.label: with_feed(workflow.after(step), step.fed_by) for step in workflow.all_steps
    }
    return draw(nodes, after)


def with_feed(after: Sequence[str], fed_by: str) -> list[str]:
    """The names before a step, with the signal that its items come from: `after` has it not."""
    return list(dict.fromkeys((*after, *([fed_by] if fed_by else []))))


def sketch_of(workflow: Workflow) -> Sketch:
    """A workflow for the catalogue."""
    titles = [step.shown_title for step in workflow.steps]
    shape = layout(_after(workflow), DOTS) if 1 < len(titles) <= MOST_DOTS else None
    return Sketch(shape=shape, titles=titles[:MOST_TITLES], more=max(0, len(titles) - MOST_TITLES))


def _after(workflow: Workflow) -> dict[str, tuple[str, ...]]:
    return {step.label: workflow.after(step) for step in workflow.steps}


def _box(nodes: Sequence[Node]) -> Sizes:
    """The size of all boxes: the longest title has one line if it can, else two."""
    longest = max(len(node.title) for node in nodes) * LETTER + 2 * PADDING
    height = PADDING + TITLE_LINE * (2 if longest > WIDEST else 1)
    height += STATE_LINE if any(node.state for node in nodes) else 0
    height += NOTE_LINE if any(node.note for node in nodes) else 0
    notes = max(len(node.note) for node in nodes) * LETTER * 0.9 + 2 * PADDING
    width = round(min(WIDEST, max(NARROWEST, longest, notes)))
    return Sizes(width=width, height=height, gap_x=44, gap_y=14, inner=10, lane=10)


def _words(nodes: Mapping[str, Node], after: Mapping[str, Sequence[str]]) -> str:
    """The same graph as sentences, for who does not see it."""
    sentences = []
    for node in nodes.values():
        before = [nodes[name].title for name in dict.fromkeys(after[node.name]) if name in nodes]
        title = f"{node.title} ({gettext('optional')})" if node.optional else node.title
        text = gettext(IN_WORDS[When(node.when)]) if before else gettext("{title} comes first.")
        sentences.append(text.format(title=title, names=join_names(before) if before else ""))
    return " ".join(sentences)
