"""Workflows that run while a broker or a database is away."""

from children import Progress, child_task
from parent import Step, Workflow
from tests.flows.faults import HoldParams, hold, nothing, tail

__all__ = ["held_late", "walk"]


@child_task(name="outages.hold_late", acks_late=True)
def hold_late(progress: Progress, gate: str, *, reports: bool = True) -> str:
    """Like `hold`, but the broker keeps its message until the task has ended."""
    answer: str = hold.run(progress, gate, reports=reports)
    return answer


held_late = Workflow("held_late", params=HoldParams, steps=[Step(hold_late)])
walk = Workflow(
    "walk", steps=[Step(tail, name=name, inputs=nothing) for name in ("one", "two", "three")]
)
