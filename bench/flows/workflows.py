"""The workflows that are measured."""

from bench.flows.tasks import items, moment, reports
from parent import Step, Workflow

__all__ = ["EVERY", "REPORTS", "reporting", "three", "three_that_report"]

REPORTS, EVERY = 20, 0.1  # of each child, and seconds from one to the next

NAMES = ("one", "two", "three")

three = Workflow("three", steps=[Step(moment, name=name) for name in NAMES])
three_that_report = Workflow("three_that_report", steps=[Step(items, name=name) for name in NAMES])
reporting = Workflow(
    "reporting",
    steps=[
        Step(moment),
        # Every report is written: how long the throttle holds one back is not what is asked.
        Step(reports, poll_interval=0, inputs=lambda _: {"count": REPORTS, "every": EVERY}),
    ],
)
