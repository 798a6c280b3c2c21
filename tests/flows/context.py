"""Children that ask for their run."""

import os
import threading
from typing import Any

from django.db import transaction
from rest_framework import serializers

from children import Progress, child_task
from parent import Approval, Map, Signal, Step, Workflow
from parent.errors import SignalInTransaction
from tests.flows.tasks import Trouble, gates

__all__ = ["asking", "decided", "inside", "late", "transacted"]


def of(progress: Progress) -> list[Any]:
    run = progress.run
    return [run.id, run.workflow, run.step, run.attempt, run.params, run.signals()]


@child_task(name="flows.context.ask")
def ask(progress: Progress, **_: Any) -> list[Any]:
    return of(progress)


@child_task(name="flows.context.ask_time")
def ask_time(progress: Progress) -> str:
    return str(progress.run.scheduled_at)


@child_task(name="flows.context.ask_async")
async def ask_async(progress: Progress, **_: Any) -> list[Any]:
    progress.run.signal("noted", text="async")
    return of(progress)


@child_task(name="flows.context.fail_once")
def fail_once(progress: Progress, **_: Any) -> list[Any]:
    """Give a signal, fail, and give the same again."""
    progress.run.signal("seen", text="once")
    if progress.run.attempt == 1:
        raise Trouble("the first attempt fails")
    return of(progress)


@child_task(name="flows.context.log")
def log(progress: Progress, **_: Any) -> None:
    """Log from a thread of its own, where there is no context."""
    logger = progress.run.logger
    thread = threading.Thread(target=lambda: logger.warning("told by a thread"))
    thread.start()
    thread.join()


@child_task(name="flows.context.give_late")
def give_late(progress: Progress, gate: str) -> None:
    """Announce itself, wait at a gate, and give a signal."""
    gates().rpush(f"{gate}:reached", os.getpid())
    gates().blpop([f"{gate}:open"], timeout=60)
    progress.run.signal("seen", text="late")


@child_task(name="flows.context.give_in_transaction")
def give_in_transaction(progress: Progress) -> str:
    try:
        with transaction.atomic():
            progress.run.signal("seen", text="rolled back")
    except SignalInTransaction as exc:
        with transaction.atomic():
            transaction.on_commit(lambda: progress.run.signal("seen", text="after it"))
        return str(exc)
    return "it was taken"


class Text(serializers.Serializer[Any]):
    text = serializers.CharField()


class Number(serializers.Serializer[Any]):
    number = serializers.IntegerField()


inside = Workflow("context_inside", params=Number, steps=[Step(ask)])
asking = Workflow(
    "context_asking",
    params=Number,
    steps=[
        Step(ask_async),
        Step(fail_once, retries=1),
        Step(log),
        Map(ask, name="each", over=lambda _: [{}, {}], chunk=2),
        Step(inside, name="nested", inputs=lambda run: {"number": run.params["number"] + 1}),
        Step(ask, name="last"),
    ],
    signals=[Signal("seen", params=Text), Signal("noted", params=Text)],
    result=lambda run: {
        name: list(value.ok()) if name == "each" else value for name, value in run.results.items()
    },
)


class Gate(serializers.Serializer[Any]):
    gate = serializers.CharField()


late = Workflow(
    "context_late", params=Gate, steps=[Step(give_late)], signals=[Signal("seen", params=Text)]
)
decided = Workflow("context_decided", steps=[Approval("release"), Step(ask)])
transacted = Workflow(
    "context_transacted", steps=[Step(give_in_transaction)], signals=[Signal("seen", params=Text)]
)
