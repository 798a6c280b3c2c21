"""Workflows of plain Celery tasks, with the options that their authors give such tasks."""

import os
import signal
import time
from typing import Any

from celery import Task, shared_task
from celery.exceptions import Ignore, Reject
from rest_framework import serializers

from parent import Step, Workflow
from tests.flows.faults import marked
from tests.flows.tasks import gates

__all__ = ["ENDINGS", "HELD"]

GATE_TIMEOUT = 60


class Later(Task):  # type: ignore[type-arg]
    """A task that its author always sends with a countdown."""

    abstract = True

    def apply_async(self, *args: Any, **kwargs: Any) -> Any:
        return super().apply_async(*args, **kwargs, countdown=3)


def _hold(gate: str) -> str:
    with marked():
        server = gates()
        server.rpush(f"{gate}:reached", os.getpid())
        if server.blpop([f"{gate}:open"], timeout=GATE_TIMEOUT) is None:
            raise AssertionError("the gate was not opened in time")
        return gate


@shared_task(name="foreign.hold")
def hold(gate: str) -> str:
    return _hold(gate)


@shared_task(name="foreign.hold_late", acks_late=True)
def hold_late(gate: str) -> str:
    return _hold(gate)


@shared_task(name="foreign.hold_with_eta", base=Later)
def hold_with_eta(gate: str) -> str:
    return _hold(gate)


@shared_task(name="foreign.ignores")
def ignores() -> None:
    with marked():
        raise Ignore


@shared_task(name="foreign.stores_and_ignores", bind=True)
def stores_and_ignores(self: Any) -> None:
    with marked():
        meta = {"exc_type": "ValueError", "exc_message": ["no paper"], "exc_module": "builtins"}
        self.update_state(state="FAILURE", meta=meta)
        raise Ignore


@shared_task(name="foreign.rejects")
def rejects() -> None:
    with marked():
        raise Reject("not mine", requeue=False)


@shared_task(name="foreign.rejects_once", bind=True, acks_late=True)
def rejects_once(self: Any) -> str:
    with marked():
        if gates().incr(f"rejects:{self.request.id}") == 1:
            raise Reject("not now", requeue=True)
        return "done"


@shared_task(name="foreign.retries", bind=True, max_retries=2)
def retries(self: Any) -> str:
    with marked():
        if self.request.retries < 2:
            raise self.retry(countdown=0.1)
        return "done"


@shared_task(name="foreign.dies", acks_late=True, reject_on_worker_lost=True)
def dies() -> None:
    with marked():
        os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="foreign.hangs", time_limit=1, ignore_result=True)
def hangs() -> None:
    with marked():
        time.sleep(GATE_TIMEOUT)


class GateParams(serializers.Serializer[None]):
    gate = serializers.CharField()


HELD = {
    "prefetched": Workflow("prefetched", params=GateParams, steps=[Step(hold)]),
    "acks_late": Workflow("acks_late", params=GateParams, steps=[Step(hold_late)]),
    "eta": Workflow("eta", params=GateParams, steps=[Step(hold_with_eta)]),
}
ENDINGS = {
    str(task.name): Workflow(str(task.name).replace(".", "_"), steps=[Step(task)])
    for task in (ignores, stores_and_ignores, rejects, rejects_once, retries, dies, hangs)
}
