"""A state machine: a run with a mapped step, and the events that come from workers and users."""

import time
from collections import Counter
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)

from children import Meta, host
from children.errors import AttemptLost, RetryAsked
from parent import Map, Workflow
from parent import Step as StepDefinition
from parent.messages.publish import attempt_header
from parent.models import Executor, Item, Run, Step, StepState
from parent.runs.automatic_retry import RetryDecision
from parent.runs.cancel import cancel
from parent.runs.endings import record
from parent.runs.items.end_of_item import end_of
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.store import leases
from parent.worker.running_attempt import RunningAttempt
from parent.worker.shutdown import hand_back
from tests.flows import tasks
from tests.parent.items import check_items
from tests.parent.rolled_back_machine import RolledBackMachine

__all__ = ["ItemMachine"]

LIMIT = 60.0
TURNS = 200
"""By then a run has ended to which nothing more happens."""
ENDS = ("OK", "ERROR", "SKIPPED", "CANCELLED")
picks = st.integers(min_value=0, max_value=30)


class ItemMachine(RolledBackMachine):
    """One run: a mapped step, a step after it, and one that always follows."""

    @initialize(
        count=st.integers(0, 7),
        chunk=st.integers(1, 3),
        max_active=st.none() | st.integers(1, 2),
        tolerate=st.integers(0, 2),
        retries=st.integers(0, 2),
        delay=st.sampled_from([0.0, 30.0]),
    )
    def start(self, count: int, delay: float, **options: Any) -> None:
        self.begin()
        items = [{"a": number, "b": 1} for number in range(count)]
        each = Map(
            tasks.divide,
            name="each",
            over=lambda _: items,
            retry_delay=delay,
            run_timeout=LIMIT,
            queue_timeout=LIMIT,
            **options,
        )
        after = [
            StepDefinition(tasks.noop, name="last", after=["each"], retries=9),
            StepDefinition(tasks.noop, name="clean_up", after=["each"], when="always", retries=9),
        ]
        self.options = options
        self.run_id = start(Workflow("machine", steps=[each, *after]), {}).pk

    def to_the_end(self) -> None:
        """Whatever has happened: with a worker that works, the run ends."""
        for _ in range(TURNS):
            if Run.objects.get(pk=self.run_id).ended:
                break
            self.deliver(0)
            for _ in range(len(self.claimed)):
                if self._report(0):
                    self.finish(0)
            self.wait_for_the_delay()
        run = Run.objects.get(pk=self.run_id)
        assert run.ended, list(self.rows(Item).values_list("index", "state", "message_id"))
        assert not self.rows(Item).exclude(state__in=ENDS).exists()

    # Events from workers.

    @rule(pick=picks)
    def deliver(self, pick: int) -> None:
        """A message arrives: the first time, again, or for an attempt that has ended."""
        rows: dict[str, Item | Step] = {}
        for model in (Item, Step):
            for row in self.rows(model).filter(state="QUEUED", publish_count__gt=0):
                rows[row.task_id] = row
                self.headers[row.task_id] = attempt_header(row)
        every = [*rows, *(old for old in self.headers if old not in rows)]
        if not every:
            return
        task_id = every[pick % len(every)]
        attempt = RunningAttempt(
            task_id,
            self.headers[task_id],
            delivery=host.Delivery(
                id=task_id,
                taken_at=time.monotonic(),
                excluded=frozenset(),
                is_stopping=lambda: pick % 5 == 4,  # some workers stop
                follower_seconds=lambda: 0.0,
            ),
        )
        claimed = attempt.claim()
        assert claimed == (task_id in rows)
        if claimed:
            self.claimed.append(attempt)

    @precondition(lambda self: self.claimed)
    @rule(pick=picks)
    def report(self, pick: int) -> None:
        self._report(pick)

    def _report(self, pick: int) -> bool:
        """Also by a body that was taken for dead, and woke up later."""
        attempt = self._pick(pick)
        counts = self._counts(attempt) and not self.cancelled
        try:
            attempt.report(Meta.at(1, 2, "at work"))
        except AttemptLost:
            assert not counts
            attempt.abandon()
            self.claimed.remove(attempt)
            return False
        assert counts
        return True

    @precondition(lambda self: self.claimed)
    @rule(pick=picks)
    def finish(self, pick: int) -> None:
        self._end(self._pick(pick), Meta().ok(1.0))

    @precondition(lambda self: self.claimed)
    @rule(pick=picks, error=st.sampled_from([ValueError("bad"), RetryAsked("later", 20.0)]))
    def fail(self, pick: int, error: Exception) -> None:
        self._end(self._pick(pick), Meta().failed(str(error)), "traceback", error)

    def _end(self, attempt: RunningAttempt, outcome: Meta, *error: Any) -> None:
        attempt.finish(outcome, *error)
        self.claimed.remove(attempt)
        if attempt.follower is not None:
            following: Any = attempt.follower.begin()
            assert self._counts(following)
            self.claimed.append(following)

    @precondition(lambda self: self.claimed)
    @rule(pick=picks)
    def lose_the_process(self, pick: int) -> None:
        attempt = self._pick(pick)
        row: Any = Item() if attempt._model is Item else Step()
        killed = Meta().failed("killed")
        record(attempt.name, attempt.task_id, killed, retry=RetryDecision(), end=end_of(row))

    @rule()
    def hand_back(self) -> None:
        hand_back(self.executor)

    # Events of time.

    @rule()
    def tick(self) -> None:
        leases.renew_heartbeat(self.executor)
        self.ticker._moved_at = time.time()
        assert self.ticker.tick()

    @rule()
    def wait_for_the_delay(self) -> None:
        """Of retries, and until a tick looks at what was left undone."""
        late = Now() - timedelta(seconds=1)
        self.rows(Item).filter(state="WAITING", due_at__isnull=False).update(due_at=late)
        self.rows(Step).filter(state="RUNNING", due_at__isnull=False).update(due_at=late)
        for model in (Item, Step):
            self.rows(model).filter(state="QUEUED", publish_count=0, due_at__isnull=False).update(
                due_at=late
            )
        self.tick()

    @rule()
    def let_the_lease_lapse(self) -> None:
        Executor.objects.update(heartbeat_at=Now() - timedelta(seconds=100))
        assert self.ticker.tick()
        leases.renew_heartbeat(self.executor)

    @rule()
    def pass_the_run_limit(self) -> None:
        """In a cancelled run this is the grace of its children."""
        past = Now() - timedelta(seconds=LIMIT + 1)
        self.rows(Item).filter(state="RUNNING").update(started_at=past, due_at=past)
        self.rows(Step).filter(name="each", state="RUNNING").update(due_at=past)
        self.tick()
        assert not self.rows(Item).filter(state="RUNNING", started_at__lte=past).exists()

    # Events from users.

    @precondition(lambda self: not Run.objects.get(pk=self.run_id).ended)
    @rule(really=st.sampled_from([False, False, False, True]))
    def cancel(self, really: bool) -> None:
        if really:
            cancel(self.run_id)
            assert not self.rows(Item).filter(state__in=("WAITING", "QUEUED")).exists()

    @precondition(lambda self: Run.objects.get(pk=self.run_id).state in ("FAILURE", "REVOKED"))
    @rule()
    def retry(self) -> None:
        retry(self.run_id)
        self.outcomes = {n: seen for n, seen in self.outcomes.items() if seen[0] == "OK"}

    # Invariants.

    @invariant()
    def all_of_it_holds(self) -> None:
        """One invariant, because to read the rows takes longer than to compare them."""
        steps, items = list(self.rows(Step)), list(Item.objects.filter(step__run=self.run_id))
        [each] = (step for step in steps if step.name == "each")
        if each.items is not None:
            check_items(each)
        self.an_outcome_never_changes(items)
        self.there_are_no_more_messages_than_places(items)
        self.nothing_is_forgotten(each, items)
        self.the_step_ends_as_its_items_do(each, items)
        self.order_is_kept(each, steps)

    def an_outcome_never_changes(self, items: list[Item]) -> None:
        for item in items:
            if item.state in ENDS:
                outcome = (item.state, item.attempt, item.result, item.error, item.finished_at)
                assert item.finished_at is not None
                assert self.outcomes.setdefault(item.index, outcome) == outcome

    def there_are_no_more_messages_than_places(self, items: list[Item]) -> None:
        carried = Counter(i.message_id for i in items if i.state in Item.ACTIVE)
        assert len(carried) <= (self.options["max_active"] or 1_000)
        running = Counter(i.message_id for i in items if i.state == "RUNNING")
        assert set(running.values()) <= {1}
        by_message = Counter(m for m in carried.elements() if m not in running)
        assert all(size <= self.options["chunk"] for size in by_message.values())

    def nothing_is_forgotten(self, each: Step, items: list[Item]) -> None:
        """What is queued has a message, a time, or one before it in its chunk."""
        active = [item for item in items if item.state in Item.ACTIVE]
        alive = {i.message_id for i in active if i.state == "RUNNING" or i.due_at is not None}
        assert {item.message_id for item in active} <= alive
        if each.state == StepState.RUNNING:
            assert each.due_at is not None
            assert any(item.state in Item.LEFT for item in items)
        else:
            assert all(item.state in ENDS for item in items)

    def the_step_ends_as_its_items_do(self, each: Step, items: list[Item]) -> None:
        failed = sum(item.state == "ERROR" for item in items)
        if each.state == StepState.OK:
            assert failed <= self.options["tolerate"]
            assert all(item.state in ("OK", "ERROR") for item in items)
        if each.state == StepState.ERROR:
            assert failed > self.options["tolerate"]
            assert (each.error or "").startswith("Error in each: ")

    def order_is_kept(self, each: Step, steps: list[Step]) -> None:
        for step in steps:
            if step.name != "each" and step.task_id is not None:
                assert each.state in ("OK", "ERROR")
                assert step.when == "always" or each.state == "OK"

    @property
    def cancelled(self) -> bool:
        return Run.objects.get(pk=self.run_id).cancel_requested_at is not None

    def _pick(self, pick: int) -> RunningAttempt:
        """A claimed attempt; 0 is the latest, to which Hypothesis shrinks."""
        return self.claimed[-1 - pick % len(self.claimed)]

    def _counts(self, attempt: RunningAttempt) -> bool:
        return attempt._claim.is_held()

    def rows(self, model: Any) -> Any:
        if model is Step:
            return Step.objects.filter(run=self.run_id).select_related("run")
        return Item.objects.filter(step__run=self.run_id).select_related("step__run")
