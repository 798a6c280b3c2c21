"""Given anything that can happen to a run, in any order, its rows are what a simple model says."""

from collections.abc import Iterable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app, states
from celery.exceptions import NotRegistered
from django.db import transaction
from django.db.models.functions import Now
from django_celery_results.models import TaskResult
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from children.errors import AttemptLost, RetryAsked
from children.meta import Meta
from parent import Step as StepDefinition
from parent import Workflow, executors, publish, registry
from parent.advance import go_on
from parent.attempts import Again
from parent.cancel import cancel
from parent.engine import Engine, RunningAttempt
from parent.errors import CannotRetry, RunEnded
from parent.hand_back import hand_back
from parent.models import Attempt, Executor, Run, Step
from parent.publish import attempt_header
from parent.recording import record
from parent.retry import retry
from parent.start import start
from parent.tick import Ticker
from tests.flows import tasks
from tests.parent.run_model import ModelRun, ModelStep

NAMES = "abcd"
LIMIT = 60.0
picks = st.integers(min_value=0, max_value=30)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, ModelStep]:
    """Up to four steps, each after any of those before it."""
    steps: dict[str, ModelStep] = {}
    for name in NAMES[: draw(st.integers(1, len(NAMES)))]:
        after = draw(st.sets(st.sampled_from(sorted(steps)))) if steps else set()
        steps[name] = ModelStep(after=tuple(sorted(after)), retries=draw(st.integers(0, 2)))
    return steps


class Machine(RuleBasedStateMachine):
    """One run, its worker, its ticker, and everybody who may interfere."""

    @initialize(graph=graphs(), delay=st.sampled_from([0.0, 30.0]))
    def start(self, graph: dict[str, ModelStep], delay: float) -> None:
        self.undo = ExitStack()
        self.undo.enter_context(transaction.atomic())
        self.undo.callback(transaction.set_rollback, True)
        self.undo.enter_context(publish.held())
        self.workflow = Workflow(
            "machine",
            timeout=3600,
            steps=[
                StepDefinition(
                    tasks.noop,
                    name=name,
                    after=step.after,
                    retries=step.retries,
                    retry_delay=delay,
                    run_timeout=LIMIT,
                    queue_timeout=LIMIT,
                )
                for name, step in graph.items()
            ],
        )
        self.undo.callback(registry._workflows.pop, "machine", None)
        self.executor = executors.boot()
        self.undo.callback(setattr, executors, "_this", None)
        executors.beat(self.executor)
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

    # What workers do.

    @rule(pick=picks)
    def deliver(self, pick: int) -> None:
        """A message arrives: the first time, again, or of an attempt long gone."""
        rows = Step.objects.filter(run=self.run_id, task_id__isnull=False, publishes__gt=0)
        ids = {str(row.task_id): row for row in rows.select_related("run")}
        every = [*ids, *(old for old in self.delivered if old not in ids)]
        if not every:
            return
        task_id = every[pick % len(every)]
        row = ids.get(task_id) or next(iter(Step.objects.filter(run=self.run_id)))
        attempt = Engine().claim(task_id, row.task, attempt_header(row))
        counts = task_id in ids and self.model.steps[row.name].state == "QUEUED"
        assert (attempt is not None) == counts
        self.delivered.append(task_id)
        if attempt is not None:
            self.model.steps[row.name].state = "RUNNING"
            self.claimed.append(attempt)

    @precondition(lambda self: self.claimed)
    @rule(pick=picks, iteration=st.integers(0, 12))
    def report(self, pick: int, iteration: int) -> None:
        """Also of a body that woke up long after it was taken for dead."""
        attempt = self._pick(pick)
        counts = self._counts(attempt)
        if counts and not self.model.cancelled:
            attempt.report(Meta.at(iteration, 10, "at work"))
            return
        with pytest.raises(AttemptLost):
            attempt.report(Meta.at(iteration, 10))
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
        assert final != (counts and self.model.fail(attempt.name, again=True))

    @precondition(lambda self: self.claimed)
    @rule(pick=picks)
    def lose_the_process(self, pick: int) -> None:
        attempt = self._pick(pick)
        counts = self._counts(attempt)
        record(attempt.name, attempt.task_id, Meta().failed("killed"), again=Again())
        if counts:
            self.model.fail(attempt.name, again=True)

    @rule()
    def hand_back(self) -> None:
        running = self._in("RUNNING")
        hand_back(self.executor)
        for name in running:
            self.model.fail(name, again=True, counts=False)

    # What time does.

    @rule()
    def tick(self) -> None:
        assert self.ticker.tick()

    @rule()
    def publish_delayed_retries(self) -> None:
        Step.objects.filter(run=self.run_id, state="QUEUED", publishes=0).update(due_at=ago(0))
        self.ticker.tick()
        assert not Step.objects.filter(run=self.run_id, state="QUEUED", publishes=0).exists()

    @rule()
    def let_the_lease_lapse(self) -> None:
        Executor.objects.update(heartbeat_at=ago(100))
        running = self._in("RUNNING")
        self.ticker.tick()
        executors.beat(self.executor)
        for name in running:
            self.model.fail(name, again=True)

    @rule()
    def pass_the_run_limit(self) -> None:
        """Or, of a cancelled run, the grace of its children."""
        late = self._rows("RUNNING")
        late.update(started_at=ago(LIMIT + 1), due_at=ago(1))
        running = self._in("RUNNING")
        self.ticker.tick()
        for name in running:
            if self.model.cancelled:
                self.model.end(name, "CANCELLED")
            else:
                self.model.fail(name, again=True)

    @rule()
    def pass_the_queue_limit(self) -> None:
        self._rows("QUEUED").update(queued_at=ago(LIMIT + 1), due_at=ago(1))
        queued = self._in("QUEUED")
        self.ticker.tick()
        for name in queued:
            self.model.fail(name, again=False)

    @precondition(lambda self: not self.model.ended)
    @rule()
    def pass_the_deadline(self) -> None:
        Run.objects.filter(pk=self.run_id).update(deadline_at=ago(1), due_at=ago(1))
        self.ticker.tick()
        self.model.time_out()

    # What people and other programs do.

    @rule()
    def cancel(self) -> None:
        if self.model.ended:
            with pytest.raises(RunEnded):
                cancel(self.run_id)
            return
        cancel(self.run_id)
        if not self.model.cancelled:
            self.model.cancel()

    @rule(pick=st.none() | picks, skip=st.booleans())
    def retry(self, pick: int | None, skip: bool) -> None:
        names = sorted(self.model.steps)
        name = None if pick is None else names[pick % len(names)]
        skip = skip and name is not None
        if self.model.ended not in ("FAILURE", "REVOKED"):
            with pytest.raises(CannotRetry):
                retry(self.run_id, step=name, skip=skip)
            return
        retry(self.run_id, step=name, skip=skip)
        for again in self.model.retry(name, skip=skip):
            self.outcomes.pop(again, None)
        self.completion = 0.0

    @rule()
    def deploy_other_code(self) -> None:
        """To a version that does not know the workflow, or back to one that does."""
        self.model.known = not self.model.known
        if not self.model.known:
            registry._workflows.pop("machine")
            return
        registry.register(self.workflow)
        go_on(self.run_id)
        if not self.model.ended:
            self.model.settle()

    @rule()
    def refuse(self) -> None:
        """A worker that does not know the task has a message, and Celery stores what it does."""
        for step in self._rows("QUEUED"):
            current_app.backend.store_result(
                str(step.task_id), NotRegistered(step.task), states.FAILURE
            )
        self.ticker.tick()
        self._rows("QUEUED").filter(publishes__gt=0).update(due_at=ago(1))
        self.ticker.tick()

    @rule()
    def clean_up_results(self) -> None:
        """Celery's own `backend_cleanup`, of all that is not the run's."""
        TaskResult.objects.exclude(task_id=str(self.run_id)).delete()

    # What holds after each of them.

    @invariant()
    def rows_are_as_in_the_model(self) -> None:
        rows = {row.name: (row.state, row.attempt, row.retried) for row in self._rows()}
        assert rows == {
            name: (step.state, step.attempt, step.retried)
            for name, step in self.model.steps.items()
        }
        state = Run.objects.get(pk=self.run_id).state
        assert state == self.model.ended or (
            self.model.ended is None and state in ("PENDING", "STARTED", "PROGRESS")
        )

    @invariant()
    def an_outcome_never_changes(self) -> None:
        for row in self._rows("OK", "ERROR", "SKIPPED", "CANCELLED"):
            outcome = (row.state, row.attempt, row.result, row.error, row.finished_at)
            assert row.finished_at is not None
            assert self.outcomes.setdefault(row.name, outcome) == outcome

    @invariant()
    def celery_says_the_same(self) -> None:
        run = Run.objects.get(pk=self.run_id)
        assert TaskResult.objects.get(task_id=str(run.pk)).status == run.state
        children = TaskResult.objects.exclude(task_id=str(run.pk))
        active = self._rows("QUEUED", "RUNNING").values_list("task_id", flat=True)
        assert set(children.values_list("task_id", flat=True)) <= set(active)

    @invariant()
    def completion_only_grows(self) -> None:
        run = Run.objects.get(pk=self.run_id)
        assert self.completion <= run.completion
        assert (run.completion == 100.0) == (run.state == "SUCCESS")
        self.completion = run.completion

    @invariant()
    def each_attempt_has_its_own_record(self) -> None:
        ids = [row.task_id for row in self._rows() if row.task_id]
        ids += Attempt.objects.filter(step__run=self.run_id).values_list("task_id", flat=True)
        assert len(ids) == len(set(ids)) == sum(s.attempt for s in self.model.steps.values())

    @invariant()
    def order_is_kept(self) -> None:
        rows = {row.name: row for row in self._rows()}
        for row in rows.values():
            if row.task_id is not None:
                assert {rows[name].state for name in row.after} <= {"OK"}

    def _pick(self, pick: int) -> RunningAttempt:
        """The latest first: shrinking leads there."""
        return self.claimed[-1 - pick % len(self.claimed)]

    def _counts(self, attempt: RunningAttempt) -> bool:
        row = Step.objects.filter(task_id=attempt.task_id).first()
        return row is not None and self.model.steps[row.name].state == "RUNNING"

    def _in(self, *states: str) -> Iterable[str]:
        return [name for name, step in self.model.steps.items() if step.state in states]

    def _rows(self, *states: str) -> Any:
        rows = Step.objects.filter(run=self.run_id)
        return rows.filter(state__in=states) if states else rows


def ago(seconds: float) -> Any:
    return Now() - timedelta(seconds=seconds)


@pytest.mark.django_db
def test_whatever_happens_in_whatever_order_the_rows_are_as_the_model_says() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=10,
            stateful_step_count=40,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # shrinking, with a database, takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
