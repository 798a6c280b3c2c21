"""A state machine: a run with a Map over a workflow, and what happens to it and its child runs."""

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from parent import Map, Workflow
from parent import Step as StepDefinition
from parent.models import Item, Run, Step
from parent.runs.start import start
from parent.store import leases
from tests.flows import tasks
from tests.parent.items import check_items
from tests.parent.nested_machine import ENDS, LIMIT, TURNS, NestedMachine

__all__ = ["ItemRunMachine"]


class ItemRunMachine(NestedMachine):
    """`each` runs `inner` for each item; `last` comes after it, `clean_up` in any case."""

    give_the_word = decide = None  # type: ignore[assignment]

    @initialize(
        count=st.integers(0, 5),
        max_active=st.none() | st.integers(1, 2),
        tolerate=st.integers(0, 2),
        retries=st.integers(0, 1),
    )
    def start(self, count: int, max_active: int | None, tolerate: int, retries: int) -> None:
        self.begin()
        again: dict[str, Any] = {"retries": retries, "run_timeout": LIMIT}

        def child(name: str, *after: str, **options: Any) -> StepDefinition:
            return StepDefinition(tasks.noop, name=name, after=after, **again, **options)

        inner = Workflow("machine_inner", steps=[child("begin"), child("end", "begin")])
        each = Map(
            inner,
            name="each",
            over=lambda _: [{}] * count,
            max_active=max_active,
            tolerate=tolerate,
        )
        after = [child("last", "each"), child("clean_up", "each", when="always")]
        self.most, self.tolerate = max_active or 1_000, tolerate
        self.run_id = start(Workflow("machine", steps=[each, *after]), {}).pk

    def to_the_end(self) -> None:
        """Whatever has happened: with a worker that works, the run ends."""
        for _ in range(TURNS):
            if self.run_row.ended:
                break
            self.deliver(0)
            while self.claimed:
                self.report(0)
                if self.claimed:
                    self.finish(0)
            self.wait_for_the_delay()
        assert self.run_row.ended, list(self.steps().values_list("name", "state", "task_id"))
        assert not self.steps().exclude(state__in=ENDS).exists()
        assert not Item.objects.exclude(state__in=ENDS).exists()
        assert not Run.objects.filter(finished_at=None).exists()

    # Events of time.

    @rule()
    def wait_for_the_delay(self) -> None:
        late = Now() - timedelta(seconds=1)
        Item.objects.filter(state="WAITING", due_at__isnull=False).update(due_at=late)
        self.steps("RUNNING").filter(name="each").update(due_at=late)
        super().wait_for_the_delay()

    @rule()
    def pass_the_limits(self) -> None:
        """Of children."""
        past = Now() - timedelta(seconds=LIMIT + 1)
        rows = self.steps("RUNNING").filter(due_at__isnull=False).exclude(name="each")
        late = list(rows.values_list("task_id", flat=True))
        rows.update(started_at=past, due_at=past)
        self.tick()
        assert not self.steps("RUNNING").filter(task_id__in=late).exists()

    @rule()
    def tick(self) -> None:
        leases.renew_heartbeat(self.executor)
        self.ticker._moved_at = time.time()
        self.ticker._check_steps_from = self.ticker._enforce_leases_from = 0.0
        assert self.ticker.tick()

    # Invariants.

    @invariant()
    def all_of_it_holds(self) -> None:
        steps, runs = list(self.steps()), list(Run.objects.all())
        items = list(Item.objects.filter(step__run=self.run_id))
        [each] = (step for step in steps if step.name == "each")
        self.each_item_and_its_run_end_together(items, runs)
        assert sum(item.state == "RUNNING" for item in items) <= self.most
        if each.items is not None:
            check_items(each)
        self.nothing_is_forgotten(each, items)
        self.the_step_ends_as_its_items_do(each, items)
        self.nothing_goes_on_in_a_run_that_has_ended(steps, runs)
        self.an_outcome_never_changes(steps)
        self.order_is_kept(steps)

    def each_item_and_its_run_end_together(self, items: list[Item], runs: list[Run]) -> None:
        """A child run, and the item that it is."""
        by_id = {str(run.pk): run for run in runs}
        for item in items:
            run = by_id.get(str(item.child_run_id))
            if item.state == "RUNNING":
                assert run is not None
                assert not run.ended
            elif run is not None:
                assert run.ended
                assert run.due_at is None
            if item.state == "OK":
                assert run is not None
                assert (run.state, run.result) == ("SUCCESS", item.result)
            if item.state == "ERROR":
                assert run is not None
                assert run.state in ("FAILURE", "REVOKED")
                assert (item.error or "").startswith(f"Error in each[{item.key}]: ")
        going = sum(r.parent_run_id == self.run_id and r.finished_at is None for r in runs)
        assert going == sum(item.state == "RUNNING" for item in items)

    def nothing_is_forgotten(self, each: Step, items: list[Item]) -> None:
        if each.state == "RUNNING":
            assert each.due_at is not None
            assert any(item.state in Item.LEFT for item in items)
        else:
            assert all(item.state in ENDS for item in items)

    def the_step_ends_as_its_items_do(self, each: Step, items: list[Item]) -> None:
        failed = sum(item.state == "ERROR" for item in items)
        if each.state == "OK":
            assert failed <= self.tolerate
            assert all(item.state in ("OK", "ERROR") for item in items)
        if each.state == "ERROR":
            assert failed > self.tolerate

    def nothing_goes_on_in_a_run_that_has_ended(self, steps: list[Step], runs: list[Run]) -> None:
        for run in runs:
            left = any(step.state not in ENDS for step in steps if step.run_id == run.pk)
            # A tick ends a run that was cancelled with many others.
            assert run.ended != left or (run.cancel_requested_at and run.due_at)

    def ends(self, steps: Iterable[Step]) -> dict[Any, tuple[Any, ...]]:
        """Of the attempts: a run that failed goes on when its item's turn has come again."""
        return {
            (step.pk, step.attempt): (step.name, step.state, step.result, step.error)
            for step in steps
            if step.state in ENDS and step.attempt > 0
        }
