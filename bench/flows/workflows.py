"""The workflows that are measured."""

from bench.flows.tasks import moment, reports
from parent import Step, Workflow

__all__ = ["EVERY", "REPORTS", "reporting", "three"]

REPORTS, EVERY = 20, 0.1  # of each child, and seconds from one to the next

three = Workflow("three", steps=[Step(moment, name=name) for name in ("one", "two", "three")])
reporting = Workflow(
    "reporting",
    steps=[
        Step(moment),
        # Every report is written: how long the throttle holds one back is not what is asked.
        Step(reports, poll_interval=0, inputs=lambda _: {"count": REPORTS, "every": EVERY}),
    ],
)
