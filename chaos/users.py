"""The users of the chaos test: they start runs, cancel some, and retry some of those."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from uuid import UUID

from django.db import connections
from django.db.models import F, QuerySet

from chaos.flows.workflows import TOLERATED, chaos, chaos_map
from chaos.schedule import Fault, Kind
from parent.errors import CannotRetry, RunEnded
from parent.messages.publish import publish_run, publish_steps
from parent.models import Item, Run, RunState, Step, StepState
from parent.runs.cancel import cancel
from parent.runs.retry import retry
from parent.runs.start import start
from parent.store.outage import retry_while_database_is_down

__all__ = ["Users"]

LOOK_EVERY = 0.5  # seconds between two looks at the cancelled runs
LATE = 30
"""How many of the steps that ended last have their messages sent again."""
RETRIED = 0.7
"""The share of the cancelled runs that is retried."""
MAPPED_EVERY, INTOLERABLE_EVERY = 10, 50
"""One run in so many has a mapped step; and one in so many, more broken items than it tolerates."""


class Users(threading.Thread):
    """All users, in one thread: they wait for the database, which the faults must not do."""

    def __init__(self, runs: int, seconds: float) -> None:
        super().__init__(name="users", daemon=True)
        self.started = 0
        self._runs, self._gap = runs, seconds / runs
        self._requests: SimpleQueue[Fault | None] = SimpleQueue()
        self._cancelled: set[UUID] = set()
        self._begun = self._look_at = 0.0
        self._staying = True

    def request(self, fault: Fault) -> None:
        """Ask for one of the faults that users cause."""
        self._requests.put(fault)

    def finish(self, timeout: float) -> bool:
        """Wait until they have done everything; False if that takes longer than `timeout`."""
        self._requests.put(None)
        self.join(timeout)
        return not self.is_alive()

    def run(self) -> None:
        self._begun = self._look_at = time.monotonic()
        try:
            while self._staying or self._cancelled or self.started < self._runs:
                if self.started < self._runs and time.monotonic() >= self._start_at():
                    self._start()
                if time.monotonic() >= self._look_at:
                    self._retry_cancelled()
                    self._look_at = time.monotonic() + LOOK_EVERY
                with suppress(Empty):
                    self._do(self._requests.get(timeout=self._free_for()))
        finally:
            connections.close_all()

    def _start_at(self) -> float:
        return self._begun + self.started * self._gap

    def _free_for(self) -> float:
        """Seconds until there is something to do without a request."""
        at = self._look_at
        if self.started < self._runs:
            at = min(at, self._start_at())
        return max(0.0, at - time.monotonic())

    def _do(self, fault: Fault | None) -> None:
        if fault is None:
            self._staying = False
        else:
            retry_while_database_is_down(fault.kind, ACTIONS[fault.kind](self, fault))

    def _start(self) -> None:
        # A second call, after the first one's answer was lost, finds the run by its key.
        params, key = {"number": self.started}, str(self.started)
        workflow = chaos
        if self.started % MAPPED_EVERY == 0:
            workflow = chaos_map
            more = self.started % INTOLERABLE_EVERY == 0
            params["broken"] = TOLERATED + 1 if more else TOLERATED
        retry_while_database_is_down(
            "start a run", lambda: start(workflow, params, idempotency_key=key)
        )
        self.started += 1

    def _cancel(self, fault: Fault) -> Callable[[], None]:
        def cancel_some() -> None:
            going = Run.objects.exclude(state__in=Run.ENDED).order_by("created_at")
            for run_id in _pick(list(going.values_list("pk", flat=True)), fault.dice):
                with suppress(RunEnded):
                    cancel(run_id, who="somebody")
                    if fault.dice[0] < RETRIED:
                        self._cancelled.add(run_id)

        return cancel_some

    def _retry_cancelled(self) -> None:
        ended = Run.objects.filter(pk__in=self._cancelled, state__in=Run.ENDED)
        for run_id, state in retry_while_database_is_down(
            "look", lambda: list(ended.values_list("pk", "state"))
        ):
            self._cancelled.discard(run_id)
            if state == RunState.REVOKED:
                # A second call, after the first one's answer was lost, raises CannotRetry.
                with suppress(CannotRetry):
                    retry_while_database_is_down("retry", partial(retry, run_id, who="somebody"))

    def _send_twice(self, _: Fault) -> Callable[[], None]:
        def send() -> None:
            _send(Step.objects.filter(state__in=Step.ACTIVE, chunk=None).select_related("run"))
            _send(_carried().filter(state__in=Item.ACTIVE))

        return send

    def _send_late(self, _: Fault) -> Callable[[], None]:
        def send() -> None:
            ended = Step.objects.filter(state=StepState.OK, chunk=None).select_related("run")
            for rows in (ended, _carried().filter(state=StepState.OK)):
                _send(rows.order_by(F("finished_at").desc())[:LATE])

        return send


def _carried() -> "QuerySet[Item]":
    """The items whose own message was sent: the heads of chunks."""
    return Item.objects.filter(publish_count__gt=0).select_related("step__run")


def _send(steps: Iterable[Step | Item]) -> None:
    rows = list(steps)
    publish_steps(rows)
    for run in {step.run_id: step.run for step in rows}.values():
        publish_run(run)


def _pick(among: Sequence[UUID], dice: Sequence[float]) -> set[UUID]:
    return {among[int(die * len(among))] for die in dice} if among else set()


ACTIONS: dict[Kind, Callable[[Users, Fault], Callable[[], None]]] = {
    Kind.CANCEL: Users._cancel,
    Kind.TWICE: Users._send_twice,
    Kind.LATE: Users._send_late,
}
