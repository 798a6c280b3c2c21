"""What must hold of the items of a mapped step, whatever has happened to them."""

from collections import Counter
from typing import Any

from monitor.runs.items import WORDS
from parent.models import Item, ItemCount, Run, Step, StepState
from parent.runs.items import counts

__all__ = ["check_items", "mapped", "states"]


def mapped(run: Run, name: str = "each") -> Step:
    return Step.objects.select_related("run").get(run=run, name=name)


def states(step: Step) -> list[str]:
    """The states of the items, in order, in the words of the counters."""
    rows = Item.objects.filter(step=step).order_by("index")
    return [WORDS[StepState(state)] for state in rows.values_list("state", flat=True)]


def check_items(step: Step) -> dict[str, Any]:
    """Compare the counters with the rows; return the counters that are not 0."""
    step.refresh_from_db()
    found = Counter(states(step))
    if step.state == StepState.RUNNING:
        shown = counts.read_one(step).as_dict()
    else:
        shown = dict(step.items or {})
        assert not {"waiting", "queued", "running"} & {*found}
        assert not ItemCount.objects.filter(step=step).exists()
    assert {name: n for name, n in shown.items() if n and name != "total"} == dict(found)
    assert shown["total"] == found.total()
    return dict(found)
