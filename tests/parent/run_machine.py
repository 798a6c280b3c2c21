"""A state machine: a run and a model of it, and the events that come from workers."""

import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from children.errors import AttemptLost, RetryAsked
from children.meta import Meta
from parent import Step as StepDefinition
from parent import Workflow
from parent.definition.workflow import registry
from parent.messages import publish
from parent.messages.publish import attempt_header
from parent.models import Step
from parent.runs.automatic_retry import RetryDecision
from parent.runs.endings import record
from parent.runs.start import start
from parent.store import leases, run_rows
from parent.store.run_rows import FULL_READ_LIMIT
from parent.watch.tick import Ticker
from parent.worker.host import ParentHost
from parent.worker.running_attempt import RunningAttempt
from parent.worker.shutdown import hand_back
from tests.flows import tasks
from tests.parent.run_model import ModelRun, ModelStep

__all__ = ["LIMIT", "RunMachine", "picks"]

NAMES = "abcd"
LIMIT = 60.0
picks = st.integers(min_value=0, max_value=30)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, ModelStep]:
    """Up to four steps, each after any of those before it."""
    steps: dict[str, ModelStep] = {}
    for name in NAMES[: draw(st.integers(1, len(NAMES)))]:
        after = draw(st.sets(st.sampled_from(sorted(steps)))) if steps else set()
        when = ["ok", "ok", "always", *(["failed"] if after else [])]
        steps[name] = ModelStep(
            after=tuple(sorted(after)),
            retries=draw(st.integers(0, 2)),
            when=draw(st.sampled_from(when)),
            optional=draw(st.booleans()),
        )
    return steps


class RunMachine(RuleBasedStateMachine):
    """One run, its model, its ticker, and the workers' events; a subclass adds other events."""

    @initialize(
        graph=graphs(),
        delay=st.sampled_from([0.0, 30.0]),
        full_read_limit=st.sampled_from([FULL_READ_LIMIT, 0]),
    )
    def start(self, graph: dict[str, ModelStep], delay: float, full_read_limit: int) -> None:
        """Start a run.

        Args:
            full_read_limit: the most steps of which all are read. With 0 each end reads only the
                steps that it affects, as in runs of many steps.
        """
        self.undo = ExitStack()
        self.undo.callback(setattr, run_rows, "FULL_READ_LIMIT", FULL_READ_LIMIT)
        setattr(run_rows, "FULL_READ_LIMIT", full_read_limit)  # noqa: B010 - mypy sees a constant
        self.undo.enter_context(transaction.atomic())
        self.undo.callback(transaction.set_rollback, True)
        self.undo.enter_context(publish.publishing_off())
        self.workflow = Workflow(
            "machine",
            timeout=3600,
            steps=[
                StepDefinition(
                    tasks.noop,
                    name=name,
                    after=step.after,
                    when=step.when,
                    optional=step.optional,
                    retries=step.retries,
                    retry_delay=delay,
                    run_timeout=LIMIT,
                    queue_timeout=LIMIT,
                )
                for name, step in graph.items()
            ],
        )
        self.undo.callback(registry._workflows.pop, "machine", None)
        self.executor = leases.assign_executor_id()
        self.undo.callback(setattr, leases, "_this", None)
        leases.renew_heartbeat(self.executor)
        self.ticker = Ticker(self.executor)
        while not self.ticker.tick():
            pass
        self.run_id = start(self.workflow, {}).pk
        self.model = ModelRun(graph)
        self.claimed: list[RunningAttempt] = []
        self.delivered: list[str] = []
        self.outcomes: dict[str, tuple[Any, ...]] = {}
        self.completion = 0.0

    def teardown(self) -> None:
        if hasattr(self, "undo"):
            self.undo.close()

    # Events from workers.

    @rule(pick=picks)
    def deliver(self, pick: int) -> None:
        """A message arrives: the first time, again, or for an attempt that has ended."""
        rows = Step.objects.filter(run=self.run_id, task_id__isnull=False, publish_count__gt=0)
        ids = {str(row.task_id): row for row in rows.select_related("run")}
        every = [*ids, *(old for old in self.delivered if old not in ids)]
        if not every:
            return
        task_id = every[pick % len(every)]
        row = ids.get(task_id) or next(iter(Step.objects.filter(run=self.run_id)))
        attempt = ParentHost().claim(task_id, attempt_header(row))
        counts = task_id in ids and self.model.steps[row.name].state == "QUEUED"
        assert (attempt is not None) == counts
        self.delivered.append(task_id)
        if attempt is not None:
            assert attempt.checkpoint == self.model.steps[row.name].checkpoint
            self.model.steps[row.name].state = "RUNNING"
            self.claimed.append(attempt)

    @precondition(lambda self: self.claimed)
    @rule(pick=picks, iteration=st.integers(0, 12))
    def report(self, pick: int, iteration: int) -> None:
        """Also by a body that was taken for dead, and woke up later."""
        attempt = self._pick(pick)
        counts = self._counts(attempt)
        if counts and not self.model.cancelled:
            kept = {"value": iteration, "done": []} if iteration % 2 else None
            attempt.report(Meta.at(iteration, 10, "at work"), kept)
            step = self.model.steps[attempt.name]
            step.checkpoint = kept or step.checkpoint
            return
        with pytest.raises(AttemptLost):
            attempt.report(Meta.at(iteration, 10), {"value": "too late", "done": []})
        attempt.abandon()
        if counts:
            self.model.end(attempt.name, "CANCELLED")

    @precondition(lambda self: self.claimed)
    @rule(pick=picks)
    def finish(self, pick: int) -> None:
        attempt = self._pick(pick)
        counts = self._counts(attempt)
        assert attempt.finish(Meta().ok(attempt.task_id))
        if counts:
            self.model.end(attempt.name, "OK")

    @precondition(lambda self: self.claimed)
    @rule(pick=picks, error=st.sampled_from([ValueError("bad"), RetryAsked("later", 20.0)]))
    def fail(self, pick: int, error: Exception) -> None:
        attempt = self._pick(pick)
        counts = self._counts(attempt)
        final = attempt.finish(Meta().failed(str(error)), "traceback", error)
        assert final != (counts and self.model.fail(attempt.name, retry=True))

    @precondition(lambda self: self.claimed)
    @rule(pick=picks)
    def lose_the_process(self, pick: int) -> None:
        attempt = self._pick(pick)
        counts = self._counts(attempt)
        record(attempt.name, attempt.task_id, Meta().failed("killed"), retry=RetryDecision())
        if counts:
            self.model.fail(attempt.name, retry=True)

    @rule()
    def hand_back(self) -> None:
        running = self.in_state("RUNNING")
        hand_back(self.executor)
        for name in running:
            self.model.fail(name, retry=True, counts=False)

    def look(self) -> None:
        """One tick, with the time since the last one hidden: this machine may be slow."""
        leases.renew_heartbeat(self.executor)
        self.ticker._moved_at = time.time()
        assert self.ticker.tick()

    def _pick(self, pick: int) -> RunningAttempt:
        """A claimed attempt; 0 is the latest, to which Hypothesis shrinks."""
        return self.claimed[-1 - pick % len(self.claimed)]

    def _counts(self, attempt: RunningAttempt) -> bool:
        row = Step.objects.filter(task_id=attempt.task_id).first()
        return row is not None and self.model.steps[row.name].state == "RUNNING"

    def in_state(self, *states: str) -> Iterable[str]:
        return [name for name, step in self.model.steps.items() if step.state in states]

    def rows(self, *states: str) -> Any:
        rows = Step.objects.filter(run=self.run_id)
        return rows.filter(state__in=states) if states else rows
