"""The workflows of the measurements."""

from bench.flows.tasks import items, moment, reports
from parent import Step, Workflow

__all__ = ["EVERY", "REPORTS", "reporting", "three", "three_that_report", "twenty"]

REPORTS, EVERY = 20, 0.1  # reports of each child, and seconds between them

NAMES = ("one", "two", "three")

three = Workflow("three", steps=[Step(moment, name=name) for name in NAMES])
three_that_report = Workflow("three_that_report", steps=[Step(items, name=name) for name in NAMES])
twenty = Workflow("twenty", steps=[Step(items, name=f"step_{n}") for n in range(20)])
reporting = Workflow(
    "reporting",
    steps=[
        Step(moment),
        # Each report is written at once: the delay of the throttle is not to be measured.
        Step(reports, poll_interval=0, inputs=lambda _: {"count": REPORTS, "every": EVERY}),
    ],
)
