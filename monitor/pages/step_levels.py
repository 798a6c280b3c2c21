"""The steps of a workflow for the catalogue: those side by side that may run side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from parent.definition.workflow import Workflow

__all__ = ["Level", "levels_of"]

MOST_LEVELS = 8
MOST_NAMES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """Steps that wait for none of each other, by title. `more`: how many of them are left out."""

    titles: Sequence[str]
    more: int = 0


def levels_of(workflow: Workflow) -> tuple[list[Level], int]:
    """The first levels of a workflow; and how many steps the others have.

    A step is on the level after the last of those that it waits for.
    """
    graph = TopologicalSorter({step.label: workflow.after(step) for step in workflow.steps})
    levels: list[list[str]] = []
    order = {step.label: index for index, step in enumerate(workflow.steps)}
    titles = {step.label: step.shown_title for step in workflow.steps}
    try:
        graph.prepare()
    except CycleError:  # a system check says so
        return [Level(titles=[step.shown_title]) for step in workflow.steps], 0
    while graph.is_active():
        ready = graph.get_ready()
        graph.done(*ready)
        levels.append(sorted((name for name in ready if name in order), key=order.__getitem__))
    shown = [
        Level(
            titles=[titles[name] for name in names[:MOST_NAMES]],
            more=max(0, len(names) - MOST_NAMES),
        )
        for names in levels[:MOST_LEVELS]
    ]
    return shown, sum(map(len, levels[MOST_LEVELS:]))
