"""The workflow to try things with."""

from rest_framework import serializers

from examples.main_flow.tasks import func_1, func_2, func_3
from parent import RunData, Step, Workflow

__all__ = ["MainFlowParams", "main_flow"]


class MainFlowParams(serializers.Serializer[None]):
    """How much work there is."""

    limit = serializers.IntegerField(
        min_value=1,
        max_value=10_000,
        default=100,
        help_text="Blocks of 20,000 numbers to look at; 100 take some ten seconds.",
    )


def _limit(run: RunData) -> dict[str, int]:
    return {"limit": run.params["limit"]}


main_flow = Workflow(
    "main_flow",
    description="Counts primes, follows Collatz chains, and compares the count with an estimate.",
    params=MainFlowParams,
    steps=[
        Step(func_1, inputs=_limit, weight=4),  # takes four times as long as the others
        Step(func_2, inputs=_limit),
        Step(func_3, inputs=lambda run: _limit(run) | run.results["func_1"]),
    ],
    result=lambda run: {**run.results["func_1"], **run.results["func_2"], **run.results["func_3"]},
)
