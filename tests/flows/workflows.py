"""The workflows of the tests."""

from rest_framework import serializers

from parent import Map, RunData, Signal, Step, Workflow
from tests.flows import (
    canvas,  # noqa: F401 - workers import their workflows through this module
    context,  # noqa: F401
    faults,  # noqa: F401
    foreign_tasks,  # noqa: F401
    hostile,  # noqa: F401
    hostile_process,  # noqa: F401
    left_behind,  # noqa: F401
    maps,
    odd_ends,  # noqa: F401
    outages,  # noqa: F401
    quiet,  # noqa: F401
    tasks,
)


class GateParams(serializers.Serializer[None]):
    gate = serializers.CharField()


class NumberParams(serializers.Serializer[None]):
    a = serializers.IntegerField()


class LimitParams(serializers.Serializer[None]):
    limit = serializers.IntegerField()


def nothing(run: RunData) -> dict[str, object]:
    return {}


def missing_result(run: RunData) -> dict[str, object]:
    """It reads a step that there is not, in a way that no check finds."""
    name = "x"
    return {"a": run.results[name]}


ITEMS, HELD = 12, 5
"""Of so many items that one holds: the second of the second chunk."""


def items(run: RunData) -> list[dict[str, object]]:
    gate = run.params["gate"]
    return [{"n": n, "gate": gate, "holds": n == HELD} for n in range(ITEMS)]


mapped = Workflow(
    "mapped_over_a_gate",
    params=GateParams,
    steps=[
        Map(tasks.item, name="each", over=items, chunk=4, max_active=2, retries=2),
        Step(
            tasks.add,
            name="sum",
            inputs=lambda run: {"a": sum(run.results["each"].ok()), "b": 0},
        ),
    ],
)
BROKEN = (4, 6, 11)
"""The head of the second chunk, its third item, and the last item of all."""


def some_broken(run: RunData) -> list[dict[str, object]]:
    return [{"n": n, "gate": run.params["gate"], "fails": n in BROKEN} for n in range(ITEMS)]


mapped_over_broken = Workflow(
    "mapped_over_broken",
    params=GateParams,
    steps=[
        Map(tasks.item, name="each", over=some_broken, chunk=4, max_active=1, tolerate=len(BROKEN)),
        Step(
            tasks.add,
            name="sum",
            inputs=lambda run: {"a": sum(run.results["each"].ok()), "b": 0},
        ),
    ],
)
RUNS = 8


class ItemParams(GateParams):
    n = serializers.IntegerField()


item_and_more = Workflow(
    "item_and_more",
    params=ItemParams,
    steps=[
        Step(
            tasks.item,
            inputs=lambda run: {**run.params, "holds": run.params["n"] == HELD},
            retries=2,
        ),
        Step(tasks.add, inputs=lambda run: {"a": run.results["item"], "b": 100}, retries=2),
    ],
)
mapped_over_runs = Workflow(
    "mapped_over_runs",
    params=GateParams,
    steps=[
        Map(
            item_and_more,
            name="each",
            over=lambda run: [{"n": n, "gate": run.params["gate"]} for n in range(RUNS)],
            max_active=3,
        ),
        Step(
            tasks.add,
            name="sum",
            inputs=lambda run: {"a": sum(run.results["each"].ok()), "b": 0},
        ),
    ],
)
doubled = maps.doubled
logging_flow = Workflow("logging_flow", params=GateParams, steps=[Step(tasks.logs)])
flooding = Workflow(
    "flooding",
    params=NumberParams,
    steps=[Step(tasks.floods, inputs=lambda run: {"lines": run.params["a"]})],
)
noops = Workflow(
    "noops",
    steps=[Step(tasks.noop, name=name) for name in ("first", "second", "third")],
)
sums = Workflow(
    "sums",
    params=NumberParams,
    steps=[
        Step(tasks.add, name="one", inputs=lambda run: {"a": run.params["a"], "b": 1}),
        Step(tasks.add, name="two", inputs=lambda run: {"a": run.results["one"], "b": 1}),
        Step(tasks.Doubled, name="three", inputs=lambda run: {"a": run.results["two"]}),
    ],
)
diamond = Workflow(
    "diamond",
    params=NumberParams,
    steps=[
        Step(tasks.add, name="top", inputs=lambda run: {"a": run.params["a"], "b": 0}),
        Step(
            tasks.add,
            name="left",
            after=["top"],
            inputs=lambda run: {"a": 10, "b": run.results["top"]},
        ),
        Step(
            tasks.add,
            name="right",
            after=["top"],
            inputs=lambda run: {"a": 20, "b": run.results["top"]},
        ),
        Step(
            tasks.add,
            name="bottom",
            after=["left", "right"],
            inputs=lambda run: {"a": run.results["left"], "b": run.results["right"]},
        ),
    ],
)
gate = Workflow(
    "gate", params=GateParams, steps=[Step(tasks.gated), Step(tasks.noop, inputs=nothing)]
)
gate_inside = Workflow(
    "gate_inside",
    params=GateParams,
    steps=[Step(tasks.noop, name="before", inputs=nothing), Step(gate)],
)
gate_far_inside = Workflow(
    "gate_far_inside",
    params=GateParams,
    steps=[Step(gate_inside), Step(tasks.noop, name="behind", inputs=nothing)],
)
gate_once_more = Workflow("gate_once_more", params=GateParams, steps=[Step(tasks.gated, retries=1)])
lost_inside = Workflow("lost_inside", params=GateParams, steps=[Step(gate_once_more)])
lost_far_inside = Workflow(
    "lost_far_inside",
    params=GateParams,
    steps=[Step(lost_inside), Step(tasks.noop, name="behind", inputs=nothing)],
)
silent = Workflow("silent", params=GateParams, steps=[Step(tasks.silent)])
stalls = Workflow("stalls", params=GateParams, steps=[Step(tasks.gated, stall_timeout=1)])
too_long = Workflow("too_long", params=GateParams, steps=[Step(tasks.gated, run_timeout=1)])
whole_too_long = Workflow("whole_too_long", params=GateParams, steps=[Step(tasks.gated)], timeout=1)
nobody = Workflow("nobody", steps=[Step(tasks.noop, queue="nobody-consumes-this", queue_timeout=1)])
broken = Workflow(
    "broken",
    steps=[Step(tasks.noop), Step(tasks.fails), Step(tasks.noop, name="never")],
)
talkative = Workflow(
    "talkative",
    steps=[
        Step(tasks.talks, name="left", after=(), inputs=lambda _: {"text": "left"}, retries=1),
        Step(tasks.talks, name="right", after=(), inputs=lambda _: {"text": "right"}),
    ],
)
not_json = Workflow("not_json", steps=[Step(tasks.returns_a_set)])
bad_inputs = Workflow(
    "bad_inputs",
    steps=[Step(tasks.noop), Step(tasks.add, inputs=missing_result)],
)
unstorable_inputs = Workflow(
    "unstorable_inputs",
    steps=[Step(tasks.noop), Step(tasks.add, inputs=lambda _: tasks.raises_text("NUL \0, \ud800"))],
)
renamed = Workflow("renamed", steps=[Step(tasks.fails, name="shipping")])
wrong_inputs = Workflow("wrong_inputs", steps=[Step(tasks.add, inputs=lambda _: {"c": 1})])
deadly = Workflow("deadly", steps=[Step(tasks.dies), Step(tasks.noop, name="never")])
foreign = Workflow(
    "foreign", params=NumberParams, steps=[Step(tasks.foreign), Step("flows.foreign", name="again")]
)
blog = Workflow("blog", params=GateParams, steps=[Step(tasks.blog)])
counting = Workflow("counting", params=LimitParams, steps=[Step(tasks.counts)])
two_queues = Workflow(
    "two_queues",
    steps=[
        Step(tasks.where, name="here", inputs=nothing, queue="plain"),
        Step(tasks.where, name="there", inputs=nothing, queue="gpu"),
        Step(tasks.where, name="here_again", inputs=nothing, queue="plain"),
    ],
)
ranked = Workflow(
    "ranked",
    steps=[
        Step(tasks.ranks, name=name, after=(), priority=priority, inputs=nothing)
        for name, priority in (("last", 9), ("late", 6), ("early", 3), ("first", None))
    ],
)
limited = Workflow(
    "limited",
    steps=[
        Step(tasks.limited, name=name, after=(), inputs=nothing) for name in ("one", "two", "three")
    ],
)
hard_limit = Workflow("hard_limit", params=GateParams, steps=[Step(tasks.slow)])

broken_off = Workflow(
    "broken_off",
    steps=[
        Step(tasks.breaks_off, name="cancelled", after=(), inputs=lambda _: {"how": "cancelled"}),
        Step(tasks.breaks_off, name="interrupted", after=(), inputs=lambda _: {"how": "interrupt"}),
    ],
)
foreign_broken = Workflow("foreign_broken", steps=[Step(tasks.foreign_fails)])
soft_limited = Workflow("soft_limited", steps=[Step(tasks.waits_limited)])
going_on = Workflow("going_on", params=GateParams, steps=[Step(tasks.goes_on)])
signalled = Workflow(
    "signalled",
    steps=[
        Step(tasks.noop, name="load"),
        Step(
            tasks.add,
            name="merge",
            after=["load", "numbers"],
            inputs=lambda run: {"a": run.results["numbers"]["a"], "b": 1},
        ),
    ],
    signals=[Signal("numbers", params=NumberParams)],
)
fed = Workflow(
    "fed",
    steps=[Map(tasks.gated, over=Signal("page", params=GateParams), retries=2)],
)
