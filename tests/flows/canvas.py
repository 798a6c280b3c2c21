"""Workflows among other tasks on Celery's canvas."""

import json
import os
import signal
from typing import Any

from celery import shared_task
from rest_framework import serializers

from children import Progress, child_task
from parent import Step, Workflow
from tests.flows.tasks import Trouble, gates

__all__ = ["NOTES", "broken", "doubled", "held", "no_inputs"]

NOTES = "canvas:notes"


class NumberParams(serializers.Serializer[None]):
    a = serializers.IntegerField()


class HeldParams(serializers.Serializer[None]):
    gate = serializers.CharField()


@child_task(name="canvas.double")
def double(progress: Progress, a: int) -> int:
    return 2 * a


@child_task(name="canvas.breaks")
def breaks(progress: Progress) -> None:
    raise Trouble("no paper")


@child_task(name="canvas.holds")
def holds(progress: Progress, gate: str) -> str:
    server = gates()
    server.rpush(f"{gate}:reached", os.getpid())
    for turn in range(600):
        if server.blpop([f"{gate}:open"], timeout=0.1):
            return gate
        progress.update(turn)
    raise Trouble("the gate was not opened in time")


@shared_task(name="canvas.note")
def note(value: Any, tag: str) -> Any:
    """Note that it runs."""
    gates().rpush(NOTES, json.dumps([tag, value]))
    return value


@shared_task(name="canvas.note_error")
def note_error(request: Any, exc: Exception, traceback: Any) -> None:
    """An errback of the new kind: Celery calls it where the task has failed."""
    gates().rpush(NOTES, json.dumps(["error", f"{request.id}: {exc}"]))


@shared_task(name="canvas.note_failed_id")
def note_failed_id(task_id: str) -> None:
    """One of the old kind: Celery sends it as a task."""
    gates().rpush(NOTES, json.dumps(["failed", task_id]))


@shared_task(name="canvas.note_and_die_once")
def note_and_die_once(request: Any, exc: Exception, traceback: Any) -> None:
    """Kill the process that calls it, the first time."""
    if gates().incr("canvas:deaths") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    note_error.run(request, exc, traceback)


@shared_task(name="canvas.number")
def number(a: int) -> dict[str, int]:
    """Return the parameters of a workflow."""
    return {"a": a}


def _no_inputs(run: Any) -> dict[str, Any]:
    raise Trouble("no inputs")


doubled = Workflow("doubled_number", params=NumberParams, steps=[Step(double)])
broken = Workflow("canvas_broken", steps=[Step(breaks)])
held = Workflow("canvas_held", params=HeldParams, steps=[Step(holds)])
no_inputs = Workflow("canvas_no_inputs", steps=[Step(double, inputs=_no_inputs)])
