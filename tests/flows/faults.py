"""Children that log their actions to Redis, and workflows for tests of faults."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_task, shared_task, signals
from rest_framework import serializers

from children import Progress, child_task
from children.host import HEADER
from examples.main_flow import tasks as shipped
from parent import Concurrency, Map, RunData, Step, Workflow
from parent.models import Item
from parent.models import Step as StepRow
from tests.flows.tasks import Trouble, gates

MARKS = "faults:marks"
FAILURES = "faults:failures"


class Unforeseen(Exception):
    """An error that no `retry_on` names."""


@contextmanager
def marked() -> Iterator[Callable[[str], None]]:
    """Marks that a body begins and ends; yields what makes more of them.

    A body that is killed has no end, so that its last mark is the last that it did.
    """
    request: Any = current_task.request
    header = request.headers[HEADER]
    server = gates()

    def mark(what: str) -> None:
        server.rpush(MARKS, json.dumps([header["run"], header["step"], request.id, what]))

    mark("begins")
    try:
        yield mark
    finally:
        mark("ends")


@child_task(name="faults.hold")
def hold(progress: Progress, gate: str, *, reports: bool = True) -> str:
    """Wait until the gate opens, with reports or without any."""
    with marked() as mark:
        server = gates()
        server.rpush(f"{gate}:reached", os.getpid())
        for turn in range(600):
            if server.blpop([f"{gate}:open"], timeout=0.1):
                return gate
            mark("goes on")
            if reports:
                progress.update(turn)
        raise Trouble("the gate was not opened in time")


@child_task(name="faults.fail")
def fail(progress: Progress, failures: int, how: str) -> int:
    """Fail in the first `failures` attempts. Returns the number of the first that succeeds."""
    with marked():
        request: Any = current_task.request
        number = int(gates().incr(f"faults:attempts:{request.headers[HEADER]['run']}"))
        if number <= failures:
            progress.update(number, message=f"attempt {number}")
            match how:
                case "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "ask":
                    raise progress.retry(delay=0.5, message="not yet there")
                case "unforeseen":
                    raise Unforeseen(f"attempt {number}")
            raise Trouble(f"attempt {number}")
        return number


@child_task(name="faults.tail")
def tail(progress: Progress) -> str:
    """The next child."""
    with marked():
        return "done"


@child_task(name="faults.count_on")
def count_on(progress: Progress, items: int, deaths: list[int]) -> int:
    """Do the items, and die in one of them: each attempt in the next of `deaths`.

    At its death it notes how many items its row has as done.
    """
    with marked() as mark:
        request: Any = current_task.request
        header = request.headers[HEADER]
        rows: Any = Item.objects if "mapped" in header else StepRow.objects
        attempt = header["attempt"]
        for item in progress.track(range(items), resume=True):
            mark(f"does {item}")
            if deaths[attempt - 1 : attempt] == [item]:
                mark(f"reported {rows.get(task_id=request.id).iteration}")
                os.kill(os.getpid(), signal.SIGKILL)
        return items


@shared_task(name="faults.foreign_hold")
def foreign_hold(gate: str, reports: bool) -> str:
    """Wait at the gate, in a plain Celery task."""
    server = gates()
    server.rpush(f"{gate}:reached", os.getpid())
    if server.blpop([f"{gate}:open"], timeout=60) is None:
        raise Trouble("the gate was not opened in time")
    return gate


@signals.task_failure.connect(dispatch_uid="tests.flows.faults")
def note_failure(sender: Any, task_id: str, **_: Any) -> None:
    """Record the failures that Sentry would report."""
    if sender.name.startswith(("faults.", "flows.", "parent.")):
        gates().rpush(FAILURES, json.dumps(task_id))


class HoldParams(serializers.Serializer[None]):
    gate = serializers.CharField()
    reports = serializers.BooleanField(default=True)


class FailParams(serializers.Serializer[None]):
    failures = serializers.IntegerField()
    how = serializers.CharField(default="raise")


class CountParams(serializers.Serializer[None]):
    items = serializers.IntegerField()
    deaths = serializers.ListField(child=serializers.IntegerField())


def nothing(run: RunData) -> dict[str, object]:
    return {}


def one_of_three_dies(run: RunData) -> list[dict[str, object]]:
    deaths: tuple[list[int], ...] = ([], run.params["deaths"], [])
    return [{"items": run.params["items"], "deaths": of_item} for of_item in deaths]


after = Step(tail, inputs=nothing)

held = Workflow("held", params=HoldParams, steps=[Step(hold), after])
held_again = Workflow("held_again", params=HoldParams, steps=[Step(hold, retries=2), after])
held_alone = Workflow("held_alone", params=HoldParams, steps=[Step(hold, limits=["alone"]), after])
held_items = Workflow(
    "held_items",
    params=HoldParams,
    steps=[Map(hold, name="each", over=lambda run: [dict(run.params)], limits=["alone"])],
)
held_in_turn = Workflow(
    "held_in_turn", params=HoldParams, steps=[Step(hold)], concurrency=Concurrency()
)
foreign_held = Workflow("foreign_held", params=HoldParams, steps=[Step(foreign_hold), after])
held_last = Workflow(
    "held_last", params=HoldParams, steps=[Step(tail, name="head", inputs=nothing), Step(hold)]
)
failing = Workflow("failing", params=FailParams, steps=[Step(fail), after])
failing_again = Workflow("failing_again", params=FailParams, steps=[Step(fail, retries=2), after])
patient = Workflow(
    "patient",
    params=FailParams,
    steps=[Step(fail, retries=2, retry_delay=0.6, backoff=3)],
)
picky = Workflow("picky", params=FailParams, steps=[Step(fail, retries=2, retry_on=(Trouble,))])
undone = Workflow(
    "undone",
    params=FailParams,
    steps=[
        Step(fail),
        Step(tail, name="undo", inputs=nothing, when="failed"),
        Step(tail, name="clean_up", inputs=nothing, when="always"),
    ],
)
counting_on = Workflow(
    "counting_on", params=CountParams, steps=[Step(count_on, retries=5, poll_interval=0.001)]
)
counting_on_items = Workflow(
    "counting_on_items",
    params=CountParams,
    steps=[
        Map(
            count_on,
            name="each",
            over=one_of_three_dies,
            chunk=3,
            retries=5,
            poll_interval=0.001,
        )
    ],
)
unknown_task = Workflow("unknown_task", steps=[Step(tail)])
unknown_task_at_last = Workflow("unknown_task_at_last", steps=[Step(tail, queue_timeout=2)])
unknown_workflow = Workflow(
    "unknown_workflow",
    # Its first child is an included one, so workers without this workflow know it too.
    steps=[Step(shipped.func_1, inputs=lambda _: {"limit": 2}), after],
)
handed_over = Workflow(
    "handed_over",
    params=HoldParams,
    steps=[Step(tail, name="head", inputs=nothing), Step(hold, retries=1), after],
)
