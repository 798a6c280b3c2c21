"""A state machine: a run with a child run, a signal and an approval, and what happens to them."""

import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Q
from django.db.models.functions import Now
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from rest_framework import serializers

from children import Meta
from children.errors import AttemptLost
from parent import Approval, Signal, Workflow
from parent import Step as StepDefinition
from parent.errors import SignalClosed, SignalGiven
from parent.messages.publish import attempt_header
from parent.models import Executor, ReceivedSignal, Run, Step
from parent.runs.automatic_retry import RetryDecision
from parent.runs.cancel import cancel
from parent.runs.endings import record
from parent.runs.signals.give import give
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.store import leases
from parent.worker.running_attempt import RunningAttempt
from parent.worker.shutdown import hand_back
from tests.flows import tasks
from tests.parent.rolled_back_machine import RolledBackMachine

__all__ = ["NestedMachine"]

LIMIT = 60.0
TURNS = 100
"""By then a run has ended to which nothing more happens."""
ENDS = ("OK", "ERROR", "SKIPPED", "CANCELLED")
ACTIVE = ("QUEUED", "RUNNING")
picks = st.integers(min_value=0, max_value=30)


class Word(serializers.Serializer[None]):
    text = serializers.CharField()


class NestedMachine(RolledBackMachine):
    """`first`, then a child run, then an approval; `beside` waits for a signal."""

    @initialize(
        retries=st.integers(0, 1), delay=st.sampled_from([0.0, 30.0]), optional=st.booleans()
    )
    def start(self, retries: int, delay: float, optional: bool) -> None:
        self.begin()
        again: dict[str, Any] = {"retries": retries, "retry_delay": delay, "run_timeout": LIMIT}

        def child(name: str, *after: str, **options: Any) -> StepDefinition:
            return StepDefinition(tasks.noop, name=name, after=after, **again, **options)

        inner = Workflow("machine_inner", steps=[child("begin"), child("end", "begin")])
        workflow = Workflow(
            "machine",
            steps=[
                child("first"),
                StepDefinition(inner, name="inner", after=["first"], optional=optional),
                child("beside", "word"),
                Approval("release", after=["inner"], timeout=LIMIT),
                child("last", "release", "beside"),
                child("clean_up", "inner", when="always"),
            ],
            signals=[Signal("word", params=Word)],
        )
        self.run_id = start(workflow, {}).pk

    def begin(self) -> pytest.MonkeyPatch:
        self.given: dict[str, Mapping[str, Any]] = {}
        return super().begin()

    def to_the_end(self) -> None:
        """Whatever has happened: with a worker that works, and with answers, the run ends."""
        for _ in range(TURNS):
            if self.run_row.ended:
                break
            self.deliver(0)
            while self.claimed:
                self.report(0)
                if self.claimed:
                    self.finish(0)
            self.give_the_word("last")
            self.decide("approve", "last")
            self.wait_for_the_delay()
        assert self.run_row.ended, list(self.steps().values_list("name", "state", "task_id"))
        assert not self.steps().exclude(state__in=ENDS).exists()
        self.all_of_it_holds()

    # Events from workers.

    @rule(pick=picks)
    def deliver(self, pick: int) -> None:
        """A message arrives: the first time, again, or for an attempt that has ended."""
        rows = {s.task_id: s for s in self.steps("QUEUED").filter(publish_count__gt=0)}
        self.headers |= {task_id: attempt_header(row) for task_id, row in rows.items()}
        every = [*rows, *(old for old in self.headers if old not in rows)]
        if every:
            task_id = every[pick % len(every)]
            attempt = RunningAttempt(task_id, self.headers[task_id])
            assert attempt.claim() == (task_id in rows)
            self.claimed += [attempt] * (task_id in rows)

    @rule(children=st.integers(1, 3))
    def work(self, children: int) -> None:
        """A worker runs some children, one after another: so a run gets far in few events."""
        for _ in range(children):
            self.deliver(0)
            if self.claimed:
                self.finish(0)

    @precondition(lambda self: self.claimed)
    @rule(pick=picks)
    def report(self, pick: int) -> None:
        """Also by a body that was taken for dead, and woke up later."""
        attempt = self.claimed[-1 - pick % len(self.claimed)]
        counts = self._counts(attempt) and not self.run_row.cancel_requested_at
        try:
            attempt.report(Meta.at(3, 10))
        except AttemptLost:
            assert not counts
            attempt.abandon()
            self.claimed.remove(attempt)
        else:
            assert counts

    @precondition(lambda self: self.claimed)
    @rule(pick=picks)
    def finish(self, pick: int) -> None:
        self._pop(pick).finish(Meta().ok("done"))

    @precondition(lambda self: self.claimed)
    @rule(pick=picks)
    def fail(self, pick: int) -> None:
        self._pop(pick).finish(Meta().failed("bad"), "traceback", ValueError("bad"))

    @precondition(lambda self: self.claimed)
    @rule(pick=picks)
    def lose_the_process(self, pick: int) -> None:
        attempt = self.claimed[-1 - pick % len(self.claimed)]
        record(attempt.name, attempt.task_id, Meta().failed("killed"), retry=RetryDecision())

    @rule()
    def hand_back(self) -> None:
        hand_back(self.executor)

    # Events from outside.

    @rule(text=st.sampled_from(["one", "two"]))
    def give_the_word(self, text: str) -> None:
        """Before, while or after anything waits for it; again, and with another text."""
        self._give("word", {"text": text})

    @rule(decision=st.sampled_from(["approve", "approve", "reject"]), why=st.sampled_from("ab"))
    def decide(self, decision: str, why: str) -> None:
        self._give("release", {"decision": decision, "comment": why})

    def _give(self, name: str, values: dict[str, str]) -> None:
        row, earlier = self.steps().get(run=self.run_id, name=name), self.given.get(name)
        closed = row.state in ENDS or self.run_row.ended or self.run_row.cancel_requested_at
        try:
            came = give(self.run_id, name, values).values
        except SignalGiven:
            assert earlier is not None
            assert not earlier.items() >= values.items()
        except SignalClosed:
            assert earlier is None
            assert closed
        else:
            assert came.items() >= values.items()
            assert earlier == came if earlier is not None else not closed
            self.given[name] = came

    @rule(really=st.sampled_from([False, False, False, True]))
    def cancel(self, really: bool) -> None:
        if really and not self.run_row.ended:
            cancel(self.run_id)
            assert not self.steps("WAITING", "QUEUED").exists()

    @precondition(lambda self: self.run_row.state in ("FAILURE", "REVOKED"))
    @rule()
    def retry(self) -> None:
        retry(self.run_id)
        ends = self.ends(self.steps())
        again = [seen for key, seen in self.outcomes.items() if key not in ends]
        # What was OK stays so, but for what comes after a step that runs again.
        assert {name for name, state, *_ in again if state == "OK"} <= {"clean_up"}, again
        self.outcomes = {key: seen for key, seen in self.outcomes.items() if key in ends}
        if not ReceivedSignal.objects.filter(run=self.run_id, name="release").exists():
            self.given.pop("release", None)

    # Events of time.

    @rule()
    def tick(self) -> None:
        leases.renew_heartbeat(self.executor)
        self.ticker._moved_at = time.time()
        self.ticker._check_steps_from = self.ticker._enforce_leases_from = 0.0
        assert self.ticker.tick()

    @rule()
    def wait_for_the_delay(self) -> None:
        """Of retries; in a cancelled run also the grace of its children."""
        late = Now() - timedelta(seconds=1)
        self.steps("QUEUED").filter(publish_count=0).update(due_at=late)
        if self.run_row.cancel_requested_at:
            self.steps("RUNNING").filter(due_at__isnull=False).update(due_at=late)
        self.tick()

    @rule()
    def pass_the_limits(self) -> None:
        """Of children, and of the approval."""
        past = Now() - timedelta(seconds=LIMIT + 1)
        rows = self.steps("RUNNING").filter(due_at__isnull=False)
        late = list(rows.values_list("task_id", flat=True))
        rows.update(started_at=past, due_at=past)
        self.tick()
        assert not self.steps("RUNNING").filter(task_id__in=late).exists()

    @rule()
    def let_the_lease_lapse(self) -> None:
        Executor.objects.update(heartbeat_at=Now() - timedelta(seconds=100))
        self.ticker._enforce_leases_from = 0.0
        self.ticker._moved_at = time.time()
        assert self.ticker.tick()
        leases.renew_heartbeat(self.executor)

    # Invariants.

    @invariant()
    def all_of_it_holds(self) -> None:
        """One invariant, because to read the rows takes longer than to compare them."""
        steps = list(self.steps())
        runs = list(Run.objects.filter(Q(pk=self.run_id) | Q(parent_run=self.run_id)))
        self.a_child_run_and_its_step_end_together(steps, runs)
        self.nothing_goes_on_in_a_run_that_has_ended(steps, runs)
        self.the_first_answer_counts(steps)
        self.an_outcome_never_changes(steps)
        self.order_is_kept(steps)

    def a_child_run_and_its_step_end_together(self, steps: list[Step], runs: list[Run]) -> None:
        [step] = (s for s in steps if s.name == "inner" and s.run_id == self.run_id)
        children = [run for run in runs if run.parent_run_id is not None]
        going = [run.pk for run in children if run.finished_at is None]
        own = next((run for run in children if str(run.pk) == str(step.child_run_id)), None)
        assert going == ([own.pk] if own and step.state == "RUNNING" else [])
        if step.state == "OK":
            assert own is not None
            assert (own.state, own.result) == ("SUCCESS", step.result)
        elif step.state == "ERROR":
            assert own is not None
            assert own.state in ("FAILURE", "REVOKED")

    def nothing_goes_on_in_a_run_that_has_ended(self, steps: list[Step], runs: list[Run]) -> None:
        for run in runs:
            left = any(step.state not in ENDS for step in steps if step.run_id == run.pk)
            assert run.ended != left
            assert run.ended == (run.finished_at is not None)

    def the_first_answer_counts(self, steps: list[Step]) -> None:
        signals = {signal.name: signal for signal in ReceivedSignal.objects.filter(run=self.run_id)}
        for step in steps:
            if step.run_id != self.run_id or step.name not in ("word", "release"):
                continue
            came = signals.get(step.name)
            assert (came.values if came else None) == self.given.get(step.name)
            if step.state == "OK":
                assert came is not None
                assert step.result.items() >= came.values.items()
            # Once it is there, nothing waits for it any more.
            assert step.state != "RUNNING" or came is None

    def an_outcome_never_changes(self, steps: Iterable[Step]) -> None:
        for key, outcome in self.ends(steps).items():
            assert self.outcomes.setdefault(key, outcome) == outcome

    def ends(self, steps: Iterable[Step]) -> dict[Any, tuple[Any, ...]]:
        """The outcomes of those of the steps that have ended."""
        return {
            step.pk: (step.name, step.state, step.attempt, step.result, step.error)
            for step in steps
            if step.state in ENDS
        }

    def order_is_kept(self, steps: list[Step]) -> None:
        named = {(step.run_id, step.name): step for step in steps}
        for step in steps:
            if step.task_id is not None:
                before = [named[step.run_id, name] for name in step.after]
                assert {other.state for other in before} <= {*ENDS}
                good = [o.state == "OK" or (o.state == "ERROR" and o.optional) for o in before]
                assert step.when == "always" or all(good)

    @property
    def run_row(self) -> Run:
        return Run.objects.get(pk=self.run_id)

    def steps(self, *states: str) -> Any:
        """The steps of the run and of its child runs."""
        rows = Step.objects.filter(Q(run=self.run_id) | Q(run__parent_run=self.run_id))
        rows = rows.select_related("run").order_by("run__depth", "index")
        return rows.filter(state__in=states) if states else rows

    def _pop(self, pick: int) -> RunningAttempt:
        """A claimed attempt; 0 is the latest, to which Hypothesis shrinks."""
        return self.claimed.pop(-1 - pick % len(self.claimed))

    def _counts(self, attempt: RunningAttempt) -> bool:
        return attempt._claim.is_held()
