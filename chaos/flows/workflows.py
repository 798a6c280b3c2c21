"""The workflow of the chaos test: five steps, two of them side by side."""

from rest_framework import serializers

from chaos.flows.tasks import Work
from parent import RunData, Step, Workflow

__all__ = ["RETRIES", "chaos"]

RETRIES = 100  # more than there are faults


class ChaosParams(serializers.Serializer[None]):
    """Which run it is."""

    number = serializers.IntegerField()


def _step(name: str, *after: str) -> Step:
    def inputs(run: RunData) -> dict[str, object]:
        return {
            "number": run.params["number"],
            "results": {name: run.results[name] for name in after},
        }

    return Step(Work, name=name, after=after, inputs=inputs, poll_interval=0.05, retries=RETRIES)


chaos = Workflow(
    "chaos",
    params=ChaosParams,
    steps=[
        _step("first"),
        _step("left", "first"),
        _step("right", "first"),
        _step("join", "left", "right"),
        _step("last", "join"),
    ],
)
