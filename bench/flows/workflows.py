"""The workflows of the measurements."""

from typing import Any

from rest_framework import serializers

from bench.flows.tasks import items, moment, one_item, reports, work
from parent import Concurrency, Map, RunData, Signal, Step, Workflow

__all__ = [
    "EVERY",
    "REPORTS",
    "alone",
    "limited",
    "mapped",
    "mapped_alone",
    "mapped_in_chunks",
    "mapped_runs",
    "reporting",
    "signalled",
    "three",
    "three_that_report",
    "twenty",
    "two",
    "working",
]

REPORTS, EVERY = 20, 0.1  # reports of each child, and seconds between them

NAMES = ("one", "two", "three")

three = Workflow("three", steps=[Step(moment, name=name) for name in NAMES])
three_that_report = Workflow("three_that_report", steps=[Step(items, name=name) for name in NAMES])
# The second has another priority, so the process of the first does not go on with it.
two = Workflow("two", steps=[Step(moment, name="first"), Step(moment, name="second", priority=5)])
signalled = Workflow(
    "signalled", steps=[Step(moment, name="first", after=["go"])], signals=[Signal("go")]
)
alone = Workflow("alone", steps=[Step(moment)], concurrency=Concurrency())
limited = Workflow("limited", steps=[Step(moment, limits=["one"])])
twenty = Workflow("twenty", steps=[Step(items, name=f"step_{n}") for n in range(20)])
working = Workflow("working", steps=[Step(work, inputs=lambda _: {"count": 20, "each": 0.02})])
reporting = Workflow(
    "reporting",
    steps=[
        Step(moment),
        # Each report is written at once: the delay of the throttle is not to be measured.
        Step(reports, poll_interval=0, inputs=lambda _: {"count": REPORTS, "every": EVERY}),
    ],
)


class ItemParams(serializers.Serializer[None]):
    """How many items there are."""

    items = serializers.IntegerField()


def _mapped(name: str, **options: Any) -> Workflow:
    """Items, and then one child that gets something of all of them, as in a chord."""
    return Workflow(
        name,
        params=ItemParams,
        steps=[
            Map(one_item, name="each", over=numbers, **options),
            Step(one_item, name="last", inputs=last_moment),
        ],
    )


def numbers(run: RunData) -> list[int]:
    return list(range(run.params["items"]))


def nothing_each(run: RunData) -> list[dict[str, int]]:
    return [{} for _ in range(run.params["items"])]


def last_moment(run: RunData) -> dict[str, int]:
    return {"n": int(max(run.results["each"].ok()))}


mapped = _mapped("mapped")
mapped_in_chunks = _mapped("mapped_in_chunks", chunk=100)
mapped_alone = _mapped("mapped_alone", max_active=1)
mapped_runs = Workflow(
    "mapped_runs",
    params=ItemParams,
    steps=[Map(three_that_report, name="each", over=nothing_each)],
)
