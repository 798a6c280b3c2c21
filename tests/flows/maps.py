"""A workflow with a mapped step that needs no service."""

from typing import Any

from rest_framework import serializers

from children import Progress, child_task
from parent import Map, Step, Workflow

__all__ = ["doubled"]


class Numbers(serializers.Serializer[None]):
    count = serializers.IntegerField()
    broken = serializers.ListField(child=serializers.IntegerField(), default=list)
    given = serializers.JSONField(
        required=False, allow_null=True, help_text="In place of the items of `count`."
    )


@child_task(name="flows.double")
def double(progress: Progress, n: int, broken: bool = False) -> int:
    if broken:
        raise ValueError(f"{n} is broken")
    return 2 * n


@child_task(name="flows.count_values")
def count_values(progress: Progress, values: list[int]) -> int:
    return len(values)


def numbers(run: Any) -> Any:
    if "given" in run.params:
        return run.params["given"]
    return [{"n": n, "broken": n in run.params["broken"]} for n in range(run.params["count"])]


doubled = Workflow(
    "doubled",
    params=Numbers,
    title="Double numbers",
    steps=[
        Map(
            double,
            title="Double each",
            over=numbers,
            key=lambda item: f"no {item['n']}",
            max_active=1,
        ),
        Step(count_values, inputs=lambda run: {"values": list(run.results["double"].ok())}),
    ],
)
