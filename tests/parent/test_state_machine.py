"""Given any events of a run in any order, its rows match a simple model."""

from datetime import timedelta
from typing import Any

import pytest
from celery import current_app, states
from celery.exceptions import NotRegistered
from django.db import connection
from django.db.models.functions import Now
from django_celery_results.models import TaskResult
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from parent.definition.workflow import registry
from parent.errors import CannotRetry, RunEnded
from parent.models import Attempt, Executor, Run, Step
from parent.runs.advance import continue_run
from parent.runs.cancel import cancel
from parent.runs.user_retry.retry import retry
from parent.store import leases
from tests.parent.item_machine import ItemMachine
from tests.parent.item_run_machine import ItemRunMachine
from tests.parent.nested_machine import NestedMachine
from tests.parent.run_machine import LIMIT, RunMachine, picks


class Machine(RunMachine):
    """Events from outside of the run, and the invariants that hold after every event."""

    # Events of time.

    @rule()
    def tick(self) -> None:
        self.look()

    @rule()
    def publish_delayed_retries(self) -> None:
        Step.objects.filter(run=self.run_id, state="QUEUED", publish_count=0).update(due_at=ago(0))
        self.look()
        assert not Step.objects.filter(run=self.run_id, state="QUEUED", publish_count=0).exists()

    @rule()
    def let_the_lease_lapse(self) -> None:
        Executor.objects.update(heartbeat_at=ago(100))
        running = self.in_state("RUNNING")
        assert self.ticker.tick()
        leases.renew_heartbeat(self.executor)
        for name in running:
            self.model.fail(name, retry=True)

    @rule()
    def pass_the_run_limit(self) -> None:
        """In a cancelled run this is the grace of its children."""
        late = self.rows("RUNNING")
        late.update(started_at=ago(LIMIT + 1), due_at=ago(1))
        running = self.in_state("RUNNING")
        self.look()
        for name in running:
            if self.model.cancelled:
                self.model.end(name, "CANCELLED")
            else:
                self.model.fail(name, retry=True)

    @rule()
    def pass_the_queue_limit(self) -> None:
        self.rows("QUEUED").update(queued_at=ago(LIMIT + 1), due_at=ago(1))
        queued = self.in_state("QUEUED")
        self.look()
        for name in queued:
            self.model.fail(name, retry=False)

    @precondition(lambda self: not self.model.ended)
    @rule()
    def pass_the_deadline(self) -> None:
        Run.objects.filter(pk=self.run_id).update(deadline_at=ago(1), due_at=ago(1))
        self.look()
        self.model.time_out()

    # Events from users and other programs.

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
        """Deploy a version that does not know the workflow, or one that knows it again."""
        self.model.known = not self.model.known
        if not self.model.known:
            registry._workflows.pop("machine")
            return
        registry.register(self.workflow)
        continue_run(self.run_id)
        if not self.model.ended:
            self.model.settle()

    @rule()
    def refuse(self) -> None:
        """A worker that does not know the task gets a message; Celery stores that as a failure."""
        for step in self.rows("QUEUED"):
            current_app.backend.store_result(
                str(step.task_id), NotRegistered(step.task), states.FAILURE
            )
        self.look()
        self.rows("QUEUED").filter(publish_count__gt=0).update(due_at=ago(1))
        self.look()

    @rule()
    def clean_up_results(self) -> None:
        """Celery's own `backend_cleanup` deletes all rows but the run's own."""
        TaskResult.objects.exclude(task_id=str(self.run_id)).delete()

    # Invariants.

    @invariant()
    def all_of_it_holds(self) -> None:
        """One invariant, because to read the rows takes longer than to compare them."""
        rows, run = list(self.rows()), Run.objects.get(pk=self.run_id)
        self.rows_are_as_in_the_model(rows, run)
        self.an_outcome_never_changes(rows)
        self.celery_says_the_same(rows, run)
        self.completion_only_grows(run)
        self.each_attempt_has_its_own_record(rows)
        self.order_is_kept(rows)
        self.a_skip_says_why(rows)

    def rows_are_as_in_the_model(self, rows: list[Step], run: Run) -> None:
        assert {
            row.name: (row.state, row.attempt, row.retries_used, row.checkpoint) for row in rows
        } == {
            name: (step.state, step.attempt, step.retries_used, step.checkpoint)
            for name, step in self.model.steps.items()
        }
        assert run.state == self.model.ended or (
            self.model.ended is None and run.state in ("PENDING", "STARTED", "PROGRESS")
        )

    def an_outcome_never_changes(self, rows: list[Step]) -> None:
        for row in rows:
            if row.state in ("OK", "ERROR", "SKIPPED", "CANCELLED"):
                outcome = (row.state, row.attempt, row.result, row.error, row.finished_at)
                assert row.finished_at is not None
                assert self.outcomes.setdefault(row.name, outcome) == outcome

    def celery_says_the_same(self, rows: list[Step], run: Run) -> None:
        stored = dict(TaskResult.objects.values_list("task_id", "status"))
        assert stored.pop(str(run.pk)) == run.state
        assert {*stored} <= {row.task_id for row in rows if row.state in ("QUEUED", "RUNNING")}

    def completion_only_grows(self, run: Run) -> None:
        assert self.completion <= run.completion
        assert (run.completion == 100.0) == (run.state == "SUCCESS")
        self.completion = run.completion

    def each_attempt_has_its_own_record(self, rows: list[Step]) -> None:
        ids = [row.task_id for row in rows if row.task_id]
        ids += Attempt.objects.filter(step__run=self.run_id).values_list("task_id", flat=True)
        assert len(ids) == len(set(ids)) == sum(s.attempt for s in self.model.steps.values())

    def order_is_kept(self, rows: list[Step]) -> None:
        named = {row.name: row for row in rows}
        for row in rows:
            if row.task_id is not None:
                before = [named[name] for name in row.after]
                assert not {other.state for other in before} & {"WAITING", "QUEUED", "RUNNING"}
                good = [o.state == "OK" or (o.state == "ERROR" and o.optional) for o in before]
                assert row.when != "ok" or all(good)

    def a_skip_says_why(self, rows: list[Step]) -> None:
        for row in rows:
            assert row.unneeded == self.model.steps[row.name].unneeded
            timed_out = self.model.ended and row.message == ""
            assert (row.state == "SKIPPED") == row.message.startswith("skipped: ") or timed_out


def ago(seconds: float) -> Any:
    return Now() - timedelta(seconds=seconds)


# Of 40 events each, and others in every round. On PostgreSQL only the statements differ.
SHARE = 1.0 if connection.vendor == "sqlite" else 0.6
EXAMPLES = [(Machine, 15), (ItemMachine, 6), (NestedMachine, 6), (ItemRunMachine, 4)]


@pytest.mark.django_db
@pytest.mark.parametrize(("machine", "examples"), EXAMPLES)
def test_whatever_happens_in_whatever_order_the_rows_are_as_the_model_says(
    machine: type[RuleBasedStateMachine], examples: int
) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=round(SHARE * examples),
            stateful_step_count=40,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # shrinking, with a database, takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
