"""The users of the chaos test: they start runs, give signals, cancel runs, and retry some."""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from uuid import UUID

from django.db import connections
from django.db.models import F, QuerySet

from chaos.flows.workflows import (
    PAGES,
    TOLERATED,
    chaos,
    chaos_fed,
    chaos_map,
    chaos_nested,
    chaos_runs,
    chaos_turns,
    said,
)
from chaos.schedule import Fault, Kind
from parent.errors import CannotRetry, RunEnded, SignalClosed, SignalGiven
from parent.messages.publish import publish_run, publish_steps
from parent.models import Item, Run, RunState, Step, StepState
from parent.runs.cancel import cancel
from parent.runs.signals.give import close, give
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.store.outage import retry_while_database_is_down

__all__ = ["Users"]

LOOK_EVERY = 0.5  # seconds between two looks at the cancelled runs
LATE = 30
"""How many of the steps that ended last have their messages sent again."""
RETRIED = 0.7
"""The share of the cancelled runs that is retried."""
MAPPED_EVERY, INTOLERABLE_EVERY = 10, 50
"""One run in so many has a mapped step; and one in so many, more broken items than it tolerates."""
NESTED_EVERY, NESTED_AT = 10, 5
"""One run in so many has a child run, a signal and an approval: the fifth, the fifteenth, ..."""
RUNS_EVERY, RUNS_AT = 10, 2
"""One run in so many has a child run for each of some items: the second, the twelfth, ..."""
FED_EVERY, FED_AT = 10, 7
"""One run in so many has a mapped step that a signal feeds: the seventh, the seventeenth, ..."""
TURNS_EVERY, TURNS_AT, KEYS = 10, 8, 2
"""One run in so many waits for its turn, by one of so many keys: the eighth, the eighteenth, ..."""
VISIT_GAP = 2.0
"""The longest seconds between two looks of a user at a run that takes signals."""
ANSWERS = 2
"""How many different answers users give to the same signal. The first one counts."""


class Users(threading.Thread):
    """All users, in one thread: they wait for the database, which the faults must not do."""

    def __init__(self, runs: int, seconds: float) -> None:
        super().__init__(name="users", daemon=True)
        self.started = 0
        self._runs, self._gap = runs, seconds / runs
        self._requests: SimpleQueue[Fault | None] = SimpleQueue()
        self.given: dict[tuple[str, str], set[str]] = defaultdict(set)
        """The answers that a run has taken, or the keys of the items, by its id and the signal's
        name."""
        self._pages: dict[UUID, list[int]] = {}
        """The items that users will still give to a run."""
        self._cancelled: set[UUID] = set()
        self._visits: list[tuple[float, UUID]] = []
        self._dice = random.Random(runs)
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
            while self._staying or self._cancelled or self._visits or self.started < self._runs:
                if self.started < self._runs and time.monotonic() >= self._start_at():
                    self._start()
                if time.monotonic() >= self._look_at:
                    self._retry_cancelled()
                    self._look_at = time.monotonic() + LOOK_EVERY
                self._visit_due()
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
        at = min([at, *(visit_at for visit_at, _ in self._visits)])
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
        elif self.started % NESTED_EVERY == NESTED_AT:
            workflow = chaos_nested
        elif self.started % RUNS_EVERY == RUNS_AT:
            workflow = chaos_runs
        elif self.started % FED_EVERY == FED_AT:
            workflow = chaos_fed
        elif self.started % TURNS_EVERY == TURNS_AT:
            workflow = chaos_turns
            params["key"] = self.started // TURNS_EVERY % KEYS
        run = retry_while_database_is_down(
            "start a run", lambda: start(workflow, params, idempotency_key=key)
        )
        self.started += 1
        if workflow is chaos_fed:
            self._pages[run.pk] = self._dice.sample(range(PAGES), PAGES)
        if workflow in (chaos_nested, chaos_fed):
            self._visits.append((time.monotonic() + self._gap_of_visit(), run.pk))

    def _gap_of_visit(self) -> float:
        """Some visits come at once, before anything waits for a signal."""
        return max(0.0, self._dice.uniform(-VISIT_GAP / 4, VISIT_GAP))

    def _visit_due(self) -> None:
        now = time.monotonic()
        due = [run_id for at, run_id in self._visits if at <= now]
        self._visits = [(at, run_id) for at, run_id in self._visits if at > now]
        for run_id in due:
            # Chosen once: a second call, after the first one's answer was lost, gives the same.
            work = self._page_of(run_id) if run_id in self._pages else self._answer_to(run_id)
            if retry_while_database_is_down("give a signal", partial(self._visit, run_id, work)):
                self._visits.append((time.monotonic() + self._gap_of_visit(), run_id))

    def _answer_to(self, run_id: UUID) -> Callable[[], object]:
        answer = f"answer {self._dice.randrange(ANSWERS)} to {run_id}"
        choices: list[tuple[str, dict[str, str]]] = [
            ("word", {"text": answer}),
            ("release", {"decision": "approve", "comment": answer}),
        ]
        return partial(self._give, run_id, *self._dice.choice(choices))

    def _give(self, run_id: UUID, name: str, values: Mapping[str, str]) -> None:
        taken = give(run_id, name, values, who="somebody")
        self.given[str(run_id), name].add(said(taken.values))

    def _page_of(self, run_id: UUID) -> Callable[[], object]:
        """Gives the next item, or one that was given before; closes the signal after the last."""
        left = self._pages[run_id]
        if not left:
            return partial(close, run_id, "page", who="somebody")
        again = self._dice.randrange(PAGES)
        return partial(self._give_pages, run_id, {left[-1], again} - {*left[:-1]})

    def _give_pages(self, run_id: UUID, pages: Iterable[int]) -> None:
        for page in pages:
            taken = give(run_id, "page", {"number": page}, who="somebody")
            self.given[str(run_id), "page"].add(taken.key)
            if page in self._pages[run_id]:
                self._pages[run_id].remove(page)

    def _visit(self, run_id: UUID, work: Callable[[], object]) -> bool:
        """Give the run a signal or its approval; False if it has ended for good."""
        with suppress(SignalClosed, SignalGiven):
            work()
        ended = Run.objects.filter(pk=run_id, state__in=Run.ENDED).exists()
        return run_id in self._cancelled or not ended

    def _cancel(self, fault: Fault) -> Callable[[], None]:
        def cancel_some() -> None:
            going = Run.objects.exclude(state__in=Run.ENDED).filter(parent_run=None)
            going = going.order_by("created_at")
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
            _send(_own().filter(state__in=Step.ACTIVE))
            _send(_carried().filter(state__in=Item.ACTIVE))

        return send

    def _send_late(self, _: Fault) -> Callable[[], None]:
        def send() -> None:
            for rows in (_own().filter(state=StepState.OK), _carried().filter(state=StepState.OK)):
                _send(rows.order_by(F("finished_at").desc())[:LATE])

        return send


def _own() -> "QuerySet[Step]":
    """The steps that have a message."""
    return Step.objects.filter(chunk=None, nested=False, awaits="").select_related("run")


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
