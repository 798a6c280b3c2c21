"""The workflows of the chaos test: five steps, two of them side by side; one with a mapped step;
one whose items are child runs; one with a child run, a signal and an approval; one whose items come
by a signal; and one of whose runs, with the same key, only one goes on at a time.
"""

import os
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Literal

from rest_framework import serializers

from chaos.event_log import Inputs
from chaos.flows.tasks import RandomFailure, Work
from parent import Approval, Concurrency, Map, RunData, Signal, Step, Webhook, Workflow

__all__ = [
    "ITEMS",
    "NOTIFIES",
    "PAGES",
    "RETRIES",
    "TOLERATED",
    "chaos",
    "chaos_fed",
    "chaos_inner",
    "chaos_map",
    "chaos_nested",
    "chaos_runs",
    "chaos_turns",
    "said",
]

RECEIVER = os.environ.get("CHAOS_RECEIVER", "http://127.0.0.1:9/")
"""The URL of a receiver of notifications that never answers."""
SECRET = "whsec_" + b64encode(b"for a receiver that reads nothing").decode()
RETRIES = 100  # more than there are faults
ITEMS, TOLERATED = 24, 2
CHILD_RUNS = 6
PAGES = 6
"""How many items users give by a signal, before they close it."""


class ChaosParams(serializers.Serializer[None]):
    """Which run it is."""

    number = serializers.IntegerField()


class TurnParams(ChaosParams):
    """And which other runs wait for it."""

    key = serializers.IntegerField()


class MapParams(ChaosParams):
    """And how many of its items are broken."""

    broken = serializers.IntegerField()


class Word(serializers.Serializer[None]):
    """What the signal says."""

    text = serializers.CharField()


class Page(serializers.Serializer[None]):
    """An item that comes by a signal: what `Work` takes."""

    number = serializers.IntegerField()
    results = serializers.DictField(default=dict)


def said(result: Mapping[str, Any]) -> str:
    """The text of a signal, the comment of an approval, or how many items came by a signal."""
    return str(result.get("text") or result.get("comment") or result.get("count"))


def _results(run: RunData, after: tuple[str, ...]) -> Inputs:
    """The results of the steps before that have one: of a mapped step those of its items, of a
    signal or an approval what it said.
    """
    found = {name: run.results[name] for name in after if name in run.results}
    return {name: _shown(result) for name, result in found.items()}


def _shown(result: Any) -> str | list[str]:
    if isinstance(result, str):
        return result
    return said(result) if isinstance(result, dict) else list(result.ok())


def _step(name: str, *after: str, when: Literal["ok", "always"] = "ok") -> Step:
    def inputs(run: RunData) -> dict[str, object]:
        return {"number": run.params["number"], "results": _results(run, after)}

    return Step(
        Work,
        name=name,
        after=after,
        inputs=inputs,
        poll_interval=0.05,
        retries=RETRIES,
        when=when,
    )


def _items(run: RunData) -> list[dict[str, object]]:
    number, results = run.params["number"], _results(run, ("first",))
    # Those that are broken are spread over the chunks.
    broken = {(7 * n + number) % ITEMS for n in range(run.params["broken"])}
    return [
        {"number": number, "results": results, "broken": index in broken} for index in range(ITEMS)
    ]


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
    notify=[Webhook(RECEIVER, secret=SECRET)],
)
chaos_map = Workflow(
    "chaos_map",
    params=MapParams,
    steps=[
        _step("first"),
        Map(
            Work,
            name="each",
            after=("first",),
            over=_items,
            chunk=5,
            max_active=3,
            tolerate=TOLERATED,
            poll_interval=0.05,
            retries=RETRIES,
            retry_on=(RandomFailure,),
        ),
        _step("merge", "each"),
        _step("clean_up", "each", when="always"),
    ],
)
chaos_inner = Workflow(
    "chaos_inner",
    params=ChaosParams,
    steps=[_step("begin"), _step("end", "begin")],
)
chaos_runs = Workflow(
    "chaos_runs",
    params=ChaosParams,
    steps=[
        _step("first"),
        Map(
            chaos_inner,
            name="each",
            after=("first",),
            over=lambda run: [{**run.params}] * CHILD_RUNS,
            max_active=3,
        ),
        _step("merge", "each"),
        _step("clean_up", "each", when="always"),
    ],
)
chaos_nested = Workflow(
    "chaos_nested",
    params=ChaosParams,
    steps=[
        _step("first"),
        Step(chaos_inner, name="inner", after=("first",), inputs=lambda run: {**run.params}),
        _step("beside", "first", "word"),
        Approval("release", after=("inner",)),
        _step("last", "inner", "beside", "release"),
    ],
    signals=[Signal("word", params=Word)],
)
chaos_fed = Workflow(
    "chaos_fed",
    params=ChaosParams,
    steps=[
        _step("first"),
        Map(
            Work,
            name="each",
            after=("first",),
            over=Signal("page", params=Page),
            key="number",
            max_active=3,
            poll_interval=0.05,
            retries=RETRIES,
        ),
        _step("merge", "each"),
    ],
    notify=[Webhook(RECEIVER, secret=SECRET)],
)
chaos_turns = Workflow(
    "chaos_turns",
    params=TurnParams,
    steps=[_step("begin"), _step("end", "begin")],
    concurrency=Concurrency(key="key"),
)
NOTIFIES = (chaos.name, chaos_fed.name)
"""The workflows of which each end is told to the receiver."""
